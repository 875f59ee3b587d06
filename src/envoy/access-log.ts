import { Incoming } from '../http2/incoming.ts';
import type { AnswerableStream, StreamEvents } from '../http2/stream.ts';
import type { ServedCall } from '../outcome/served-call.ts';
import { servedCallFrom } from './access-log-entry.ts';
import { logMessageFrom, NO_MESSAGE, type LogMessage } from './access-log-message.ts';
import { endAnswer, failAnswer, GrpcStatus } from './grpc-answer.ts';
import { GrpcMessages } from './grpc-messages.ts';
import { type GrpcMethod, unread } from './grpc-server.ts';

/** Where calls go that an access log tells of. */
export interface AccessLogSink {
  /** A log has connected; the result says that it has gone. */
  readonly opened: (name: string) => () => void;
  /** `null` where the next call may come at once, else it resolves when it may. */
  readonly served: (call: ServedCall) => Promise<void> | null;
}

/** What the service needs and what it is held to. */
export interface AccessLogOptions {
  /** Streams at once, 256 by default: Envoy opens one for each of its workers. One more is refused. */
  readonly maxStreams?: number;
  /** Told of what the sink threw. */
  readonly onFault?: (error: unknown) => void;
}

/** Of one message, which Envoy fills to about 16 KiB. */
const MAX_MESSAGE_BYTES = 1_048_576;
/** After so many entries, others get their turn. */
const ENTRIES_AT_ONCE = 32;

/** The method, and what ends all its streams and refuses new ones. */
export interface AccessLogMethod {
  readonly open: GrpcMethod;
  readonly close: () => void;
}

/**
 * The one method of Envoy's access log service. Each stream is read message by message, and no faster than the sink takes the
 * calls, so that it is Envoy that holds what is too much; what cannot be read ends its own stream alone, and Envoy opens
 * another.
 */
export function accessLogMethod(sink: AccessLogSink, options: AccessLogOptions = {}): AccessLogMethod {
  const { maxStreams = 256, onFault } = options;
  const ends = new Set<() => void>();
  // INVARIANT: a stream that was cut off keeps its place until its last entry is recorded: what waits is bounded by them.
  let reading = 0;
  let isClosed = false;
  const open = (stream: AnswerableStream): StreamEvents => {
    if (isClosed || reading >= maxStreams) {
      failAnswer(stream, isClosed ? GrpcStatus.unavailable : GrpcStatus.resourceExhausted, 'no more streams');
      return unread(stream);
    }
    const end = (problem: string | null): void => {
      if (!ends.delete(finish)) return;
      if (problem === null) endAnswer(stream, EMPTY);
      else failAnswer(stream, GrpcStatus.invalidArgument, problem);
    };
    const finish = (): void => end(null);
    ends.add(finish);
    // A log that was cut off is no fault of the sink.
    const incoming = new Incoming(stream, finish);
    reading += 1;
    readStream(incoming, sink, () => !ends.has(finish))
      .finally(() => (reading -= 1))
      .then(end, (error: unknown) => {
        if (ends.has(finish)) onFault?.(error);
        end('the entry could not be taken');
      });
    return incoming;
  };
  return {
    open,
    close: () => {
      isClosed = true;
      for (const finish of ends) finish();
    },
  };
}

/** Reads a stream to its end; what is wrong with it, where it did not end by itself. */
async function readStream(
  stream: AsyncIterable<Buffer>,
  sink: AccessLogSink,
  isOver: () => boolean,
): Promise<string | null> {
  const messages = new GrpcMessages(MAX_MESSAGE_BYTES);
  let gone: (() => void) | null = null;
  try {
    for await (const chunk of stream) {
      messages.add(chunk);
      for (let bytes = messages.next(); bytes !== null; bytes = messages.next()) {
        if (isOver()) return null;
        if (bytes === 'too-large') return `a message has more than ${MAX_MESSAGE_BYTES} bytes`;
        const message = typeof bytes === 'string' ? NO_MESSAGE : logMessageFrom(bytes);
        if ('problem' in message) return message.problem;
        gone ??= sink.opened(message.name);
        const problem = await takeEntries(message, sink);
        if (problem !== null) return problem;
      }
    }
    return messages.isPartial ? NO_MESSAGE.problem : null;
  } finally {
    gone?.();
  }
}

async function takeEntries({ bytes, entries }: LogMessage, sink: AccessLogSink): Promise<string | null> {
  for (const [index, entry] of entries.entries()) {
    if (index % ENTRIES_AT_ONCE === ENTRIES_AT_ONCE - 1) await new Promise((resolve) => setImmediate(resolve));
    const call = servedCallFrom(bytes, entry);
    if (call === null) continue;
    if ('problem' in call) return call.problem;
    const taken = sink.served(call);
    // Most are: a wait for each would cost more than the entry.
    if (taken !== null) await taken;
  }
  return null;
}

const EMPTY = new Uint8Array(0);

import { Incoming } from '../http2/incoming.ts';
import type { AnswerableStream, StreamEvents } from '../http2/stream.ts';
import type { ServedCall } from '../outcome/served-call.ts';
import { servedCallFrom } from './access-log-entry.ts';
import { endAnswer, failAnswer, GrpcStatus } from './grpc-answer.ts';
import { GrpcMessages } from './grpc-messages.ts';
import { type GrpcMethod, unread } from './grpc-server.ts';
import { fieldsWithin, wholeOf, type Range } from './wire-fields.ts';

/** Where calls go that an access log tells of. */
export interface AccessLogSink {
  /** A log has connected; the result says that it has gone. */
  readonly opened: (name: string) => () => void;
  /** Resolves when the next call may come. */
  readonly served: (call: ServedCall) => Promise<void>;
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
/** Of one message; an entry of Envoy's has hundreds of bytes. */
const MAX_ENTRIES = 4_096;
/** After so many entries, others get their turn. */
const ENTRIES_AT_ONCE = 32;
const MAX_NAME_CHARS = 128;

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
        const message = typeof bytes === 'string' ? NO_MESSAGE : messageFrom(bytes);
        if ('problem' in message) return message.problem;
        gone ??= sink.opened(message.name);
        const problem = await takeEntries(message.entries, sink);
        if (problem !== null) return problem;
      }
    }
    return messages.isPartial ? NO_MESSAGE.problem : null;
  } finally {
    gone?.();
  }
}

async function takeEntries(entries: readonly Buffer[], sink: AccessLogSink): Promise<string | null> {
  for (const [index, entry] of entries.entries()) {
    if (index % ENTRIES_AT_ONCE === ENTRIES_AT_ONCE - 1) await new Promise((resolve) => setImmediate(resolve));
    const call = servedCallFrom(entry);
    if (call === null) continue;
    if ('problem' in call) return call.problem;
    await sink.served(call);
  }
  return null;
}

const EMPTY = new Uint8Array(0);
const NO_MESSAGE = { problem: 'not a message of an access log' };

/** The numbers of the fields of a `StreamAccessLogsMessage`. */
const IDENTIFIER = 1;
const HTTP_LOGS = 2;
const LOG_ENTRY = 1;
const NODE = 1;
const NODE_ID = 1;

interface Message {
  /** Who speaks; only the first message of a stream says it. */
  readonly name: string;
  readonly entries: readonly Buffer[];
}

/** A message apart, its entries not yet decoded: an empty one of two bytes would become an object of hundreds. */
function messageFrom(bytes: Buffer): Message | { readonly problem: string } {
  const entries: Buffer[] = [];
  let count = 0;
  let name = 'an Envoy';
  let isWhole = true;
  const found = ({ from, to }: Range): void => {
    count += 1;
    if (count <= MAX_ENTRIES) entries.push(bytes.subarray(from, to));
  };
  const walked = fieldsWithin(bytes, wholeOf(bytes), HTTP_LOGS, (logs) => {
    isWhole = fieldsWithin(bytes, logs, LOG_ENTRY, found) && isWhole;
  });
  if (!walked || !isWhole) return NO_MESSAGE;
  if (count > MAX_ENTRIES) return { problem: `a message has more than ${MAX_ENTRIES} entries` };
  fieldsWithin(bytes, wholeOf(bytes), IDENTIFIER, (identifier) => {
    fieldsWithin(bytes, identifier, NODE, (node) => {
      fieldsWithin(bytes, node, NODE_ID, (id) => (name = nameFrom(bytes, id)));
    });
  });
  return { name, entries };
}

const nameFrom = (bytes: Buffer, { from, to }: Range): string =>
  `\`${bytes.toString('latin1', from, Math.min(to, from + MAX_NAME_CHARS)).replaceAll(/[^\x21-\x7e]/g, '?')}\``;

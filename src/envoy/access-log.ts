import type { ServedCall } from '../outcome/served-call.ts';
import { SharedTimeout } from '../runtime/shared-timeout.ts';
import { after } from '../runtime/timers.ts';
import { servedCallFrom } from './access-log-entry.ts';
import { logMessageFrom, NO_ACCESS_LOG_MESSAGE, type AccessLogMessage } from './access-log-message.ts';
import type { ByteBudget } from './byte-budget.ts';
import { failAnswer, GrpcStatus } from './grpc-answer.ts';
import { GrpcMessages } from './grpc-messages.ts';
import { type GrpcMethod, unread } from './grpc-server.ts';
import { type Ending, AccessLogStream, TOO_MUCH } from './log-stream.ts';

/** Where calls go that an access log tells of. */
export interface AccessLogSink {
  /** A log has connected; the result says that it has gone. */
  readonly opened: (name: string) => () => void;
  /** `null` where the next call may come at once, else it resolves when it may. */
  readonly served: (call: ServedCall) => Promise<void> | null;
}

/** What the service needs and what it is held to. */
export interface AccessLogOptions {
  /** Of what came and was not taken yet, of all streams. */
  readonly budget: ByteBudget;
  readonly monotonicMs: () => number;
  /** Streams at once, 256 by default: Envoy opens one for each of its workers. One more is refused. */
  readonly maxStreams?: number;
  /** Told of what the sink threw. */
  readonly onFault?: (error: unknown) => void;
}

/** Of one message, which Envoy fills to about 16 KiB. */
const MAX_MESSAGE_BYTES = 1_048_576;
/** For the rest of a message that has begun. */
const REST_MS = 30_000;
/** After so many entries, others get their turn. */
const ENTRIES_AT_ONCE = 32;

/** The method, and what ends all its streams and refuses new ones. */
export interface AccessLogMethod {
  readonly open: GrpcMethod;
  readonly close: () => void;
}

const invalid = (details: string): Ending => ({ status: GrpcStatus.invalidArgument, details });
const endUnfinished = (log: AccessLogStream): void => log.end(invalid('the rest of a message did not come'));

/**
 * The one method of Envoy's access log service. Each stream is read message by message, and no faster than the sink takes the
 * calls, so that it is Envoy that holds what is too much; what cannot be read, what the budget has no room for and what is begun
 * and does not go on ends its own stream alone, and Envoy opens another.
 */
export function accessLogMethod(sink: AccessLogSink, options: AccessLogOptions): AccessLogMethod {
  const { maxStreams = 256, onFault, budget, monotonicMs } = options;
  const open = new Set<AccessLogStream>();
  const rests = new SharedTimeout<AccessLogStream>({
    ms: REST_MS,
    max: maxStreams,
    onTimeout: endUnfinished,
    monotonicMs,
    after,
  });
  // INVARIANT: a stream that was cut off keeps its place until its last entry is recorded: what waits is bounded by them.
  let reading = 0;
  let isClosed = false;
  const opened: GrpcMethod = (stream) => {
    if (isClosed || reading >= maxStreams) {
      failAnswer(stream, isClosed ? GrpcStatus.unavailable : GrpcStatus.resourceExhausted, 'no more streams');
      return unread(stream);
    }
    const log = new AccessLogStream(stream, { budget, onOver: (over) => void open.delete(over) });
    open.add(log);
    reading += 1;
    readStream(log, { sink, rests, messages: new GrpcMessages(MAX_MESSAGE_BYTES, budget) })
      .finally(() => (reading -= 1))
      .then(
        (ending) => log.end(ending),
        (error: unknown) => {
          // A log that was cut off is no fault of the sink.
          if (!log.isOver) onFault?.(error);
          log.end(invalid('the entry could not be taken'));
        },
      );
    return log;
  };
  return {
    open: opened,
    close: () => {
      isClosed = true;
      for (const log of open) log.end(null);
      rests.close();
    },
  };
}

/** What a stream is read with. */
interface Reading {
  readonly sink: AccessLogSink;
  readonly messages: GrpcMessages;
  /** Waits for the rest of a message that has begun. */
  readonly rests: SharedTimeout<AccessLogStream>;
}

/** Reads a stream to its end; what is wrong with it, where it did not end by itself. */
async function readStream(log: AccessLogStream, { sink, messages, rests }: Reading): Promise<Ending | null> {
  let gone: (() => void) | null = null;
  let restIsThere: (() => void) | null = null;
  try {
    for await (const chunk of log) {
      messages.add(chunk);
      if (!messages.hold()) return TOO_MUCH;
      for (let bytes = messages.next(); bytes !== null; bytes = messages.next()) {
        if (log.isOver) return null;
        restIsThere?.();
        restIsThere = null;
        if (bytes === 'too-large') return invalid(`a message has more than ${MAX_MESSAGE_BYTES} bytes`);
        const message = typeof bytes === 'string' ? NO_ACCESS_LOG_MESSAGE : logMessageFrom(bytes);
        if ('problem' in message) return invalid(message.problem);
        gone ??= sink.opened(message.name);
        const problem = await takeEntries(message, sink);
        if (problem !== null) return invalid(problem);
      }
      if (messages.isPartial) restIsThere ??= rests.add(log);
      else messages.letGo();
    }
    return messages.isPartial ? invalid(NO_ACCESS_LOG_MESSAGE.problem) : null;
  } finally {
    restIsThere?.();
    messages.letGo();
    gone?.();
  }
}

async function takeEntries({ bytes, entries }: AccessLogMessage, sink: AccessLogSink): Promise<string | null> {
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

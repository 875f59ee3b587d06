import type { ServedCall } from '../../outcome/served-call.ts';
import { SharedTimeout } from '../../../core/runtime/shared-timeout.ts';
import { after } from '../../../core/runtime/timers.ts';
import { servedCallFrom } from './access-log-entry.ts';
import { logMessageFrom, NO_ACCESS_LOG_MESSAGE, type AccessLogMessage } from './access-log-message.ts';
import type { ByteBudget } from '../grpc/byte-budget.ts';
import { type GrpcMethod, GrpcStatus, unread } from '../grpc/grpc-call.ts';
import { GrpcMessages } from '../grpc/grpc-messages.ts';
import { type Ending, AccessLogStream, TOO_MUCH } from './log-stream.ts';

/** Receives the calls of access logs. */
export interface AccessLogSink {
  /** A log has connected; call the returned function when it disconnects. */
  readonly opened: (name: string) => () => void;
  /**
   * Name of this process's ledger, `null` if no other process serves the same proxy. A stream whose entries all name another ledger began
   * here while that process was away. It is ended: Envoy keeps a stream at its process, and chooses again for the next stream.
   */
  readonly ledger: string | null;
  /** Backpressure: `null` if the next call may come at once, else resolves when it may. */
  readonly served: (call: ServedCall) => Promise<void> | null;
}

/** Dependencies and limits of the service. */
export interface AccessLogOptions {
  /** Limits bytes received and not yet taken, over all streams. */
  readonly budget: ByteBudget;
  readonly monotonicMs: () => number;
  /** Called with errors of the sink. */
  readonly onFault?: (error: unknown) => void;
}

/** Most concurrent streams; Envoy opens a stream per worker. Streams beyond that are refused. */
const MAX_STREAMS = 256;
/** Largest message; Envoy sends about 16 KiB. */
const MAX_MESSAGE_BYTES = 1_048_576;
/** Timeout for the rest of a message. */
const REST_MS = 30_000;
/** Entries processed before yielding to others. */
const ENTRIES_AT_ONCE = 32;

/** The method, and a function that ends its streams and refuses new streams. */
export interface AccessLogMethod {
  readonly open: GrpcMethod;
  readonly close: () => void;
}

const invalid = (details: string): Ending => ({ status: GrpcStatus.invalidArgument, details });
const endUnfinished = (log: AccessLogStream): void => log.end(invalid('the rest of a message did not come'));

/**
 * Envoy's access log service. Streams are read one message at a time and no faster than the sink takes the calls, so that
 * backlog stays in Envoy. A stream that cannot be parsed, exceeds the budget or stalls within a message is ended; Envoy opens
 * another.
 */
export function accessLogMethod(sink: AccessLogSink, options: AccessLogOptions): AccessLogMethod {
  const { onFault, budget, monotonicMs } = options;
  const open = new Set<AccessLogStream>();
  const rests = new SharedTimeout<AccessLogStream>({
    ms: REST_MS,
    max: MAX_STREAMS,
    onTimeout: endUnfinished,
    monotonicMs,
    after,
  });
  // INVARIANT: an aborted stream occupies its slot until its last entry is recorded, which bounds what waits.
  let reading = 0;
  let isClosed = false;
  const opened: GrpcMethod = (call) => {
    if (isClosed || reading >= MAX_STREAMS) {
      call.fail(isClosed ? GrpcStatus.unavailable : GrpcStatus.resourceExhausted, 'no more streams');
      return unread(call);
    }
    const log = new AccessLogStream(call, { budget, onOver: (over) => void open.delete(over) });
    open.add(log);
    reading += 1;
    readStream(log, { sink, rests, messages: new GrpcMessages(MAX_MESSAGE_BYTES, budget) })
      .finally(() => (reading -= 1))
      .then(
        (ending) => log.end(ending),
        (error: unknown) => {
          // An error after the stream was aborted is not the sink's fault.
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

/** What reading a stream needs. */
interface Reading {
  readonly sink: AccessLogSink;
  readonly messages: GrpcMessages;
  /** Timeouts for the rest of a message. */
  readonly rests: SharedTimeout<AccessLogStream>;
}

/** Reads a stream to its end. Returns the problem, or `null` if it ended normally. */
async function readStream(log: AccessLogStream, { sink, messages, rests }: Reading): Promise<Ending | null> {
  let gone: (() => void) | null = null;
  let restIsThere: (() => void) | null = null;
  let hasOwn = false;
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
        const taken = await takeEntries(message, sink);
        if (taken.problem !== null) return invalid(taken.problem);
        hasOwn ||= taken.hasOwn;
        // A log that all processes share stays: its next stream would reach one of them as well.
        if (taken.hasOther && !hasOwn) log.endAnswer();
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

/** How the entries of a message were taken. */
interface Taken {
  readonly problem: string | null;
  /** Whether an entry has a decision of this process, or of another process. */
  readonly hasOwn: boolean;
  readonly hasOther: boolean;
}

async function takeEntries({ bytes, entries }: AccessLogMessage, sink: AccessLogSink): Promise<Taken> {
  let [hasOwn, hasOther] = [false, false];
  for (const [index, entry] of entries.entries()) {
    if (index % ENTRIES_AT_ONCE === ENTRIES_AT_ONCE - 1) await new Promise((resolve) => setImmediate(resolve));
    const call = servedCallFrom(bytes, entry);
    if (call === null) continue;
    if ('problem' in call) return { problem: call.problem, hasOwn, hasOther };
    const ledger = call.decision?.ledger ?? null;
    if (ledger !== null && sink.ledger !== null) {
      if (ledger === sink.ledger) hasOwn = true;
      else hasOther = true;
    }
    const taken = sink.served(call);
    // Mostly `null`; awaiting each would cost more than the entry.
    if (taken !== null) await taken;
  }
  return { problem: null, hasOwn, hasOther };
}

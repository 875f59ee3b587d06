import { printable } from '../ledger/timeline-text.ts';
import { useRecord } from '../ledger/use.ts';
import { taskTokenOf } from '../decide/facts.ts';
import { totalMs } from './finished-check.ts';
import type { CheckObserver, FinishedCheck } from './finished-check.ts';

/** Where lines go: a stream such as the standard output of a process. */
export interface LineSink {
  /** Bytes that were written to it and that nobody has taken yet. */
  readonly writableLength: number;
  /** Whether it still takes any. */
  readonly writable: boolean;
  write(text: string): unknown;
}

/** Bytes that may wait for a reader; a line beyond them is dropped. */
const MAX_QUEUED_BYTES = 1_048_576;

/**
 * Writes each check as one line of JSON, and waits for nobody: a line is dropped, and `onDropped` told, while 1 MiB waits
 * for the reader or when the stream is closed.
 */
export function decisionLog(stream: LineSink, onDropped: () => void): CheckObserver {
  return (check) => {
    if (stream.writable && stream.writableLength < MAX_QUEUED_BYTES) stream.write(`${decisionLine(check)}\n`);
    else onDropped();
  };
}

/**
 * One check as JSON, with the same fields on allow and on deny, `null` where there is none, and the names of the record of
 * the use. Of the request only method, host and canonical path, each at most 2,048 characters and a digest: no query, no
 * header, no body, and no argument, which the ledger alone keeps where the catalog says so. No token or secret; digests stand for them.
 */
export function decisionLine(check: FinishedCheck): string {
  const { facts, took, traceId } = check;
  const record = useRecord(check, { traceId: '', spanId: '' });
  const { kind: _kind, spanId: _spanId, traceId: _traceId, args: _args, ...use } = record;
  const line = {
    kind: 'decision',
    ...use,
    intentHash: taskTokenOf(facts)?.intentHash ?? null,
    staticSecrets: facts.secrets.map(({ kind, where, name }) => `${kind} in ${where} ${name}`),
    traceId,
    durationMs: Math.round(totalMs(took) * 1000) / 1000,
  };
  // JSON escapes the control characters of ASCII; the rest of what is not printable goes from the whole line at once.
  return printable(JSON.stringify(line));
}

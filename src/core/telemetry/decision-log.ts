import type { JsonValue } from '../ledger/canonical-json.ts';
import { printableJson } from '../ledger/printable-json.ts';
import { useRecord } from '../ledger/use.ts';
import { isPermitted } from '../decide/decided-check.ts';
import { taskTokenOf } from '../decide/facts.ts';
import { totalMs } from './finished-check.ts';
import type { CheckObserver, FinishedCheck } from './finished-check.ts';

/** Whether a check is logged: with `denials` also a call that passes only because it is observed, since it would be denied. */
export const isLogged = (check: Pick<FinishedCheck, 'decision'>, which: 'none' | 'denials' | 'stdout'): boolean =>
  which === 'stdout' || (which === 'denials' && !isPermitted(check));

/** A destination of lines, such as the standard output of a process. */
export interface LineSink {
  /** Bytes written and not yet consumed. */
  readonly writableLength: number;
  /** Whether it is still open. */
  readonly writable: boolean;
  write(text: string): unknown;
}

/** Most bytes waiting for the reader; lines beyond it are dropped. */
const MAX_QUEUED_BYTES = 1_048_576;

/**
 * Writes each check as a line of JSON without ever blocking: a line is dropped, and `onDropped` called, while 1 MiB is
 * waiting or when the stream is closed. The lines of checks that were answered together are one write, before anything else happens.
 */
export function decisionLog(stream: LineSink, onDropped: () => void): CheckObserver {
  let lines: string[] = [];
  let waiting = 0;
  const write = (): void => {
    const together = lines;
    lines = [];
    waiting = 0;
    if (stream.writable) stream.write(together.join(''));
    else together.forEach(() => onDropped());
  };
  return (check) => {
    if (!stream.writable || stream.writableLength + waiting >= MAX_QUEUED_BYTES) return onDropped();
    const line = `${decisionLine(check)}\n`;
    if (lines.length === 0) queueMicrotask(write);
    lines.push(line);
    waiting += line.length;
  };
}

/**
 * One check as JSON, with the same fields on allow and deny (`null` if there is no value) and the names of the use record. Of the
 * request only method, host and canonical path, each at most 2,048 characters plus a digest, and the names in `carried` and
 * `shape`: no value of a query, header, body or argument, and no digest of these, from which a short value could be guessed; the ledger
 * alone has those. Tokens and secrets appear as digests.
 */
export function decisionLine(check: FinishedCheck): string {
  const { facts, took, traceId } = check;
  const record = useRecord(check, { traceId: '', spanId: '' });
  const { kind: _kind, spanId: _spanId, traceId: _traceId, args: _args, carried, ...use } = record;
  const line = {
    kind: 'decision',
    ...use,
    ...(carried === undefined ? {} : { carried: withoutDigests(carried) }),
    intentHash: taskTokenOf(facts)?.intentHash ?? null,
    staticSecrets: facts.secrets.map(({ kind, where, name }) => `${kind} in ${where} ${name}`),
    traceId,
    durationMs: Math.round(totalMs(took) * 1000) / 1000,
  };
  return printableJson(line);
}

/** What a call carried, by its names. */
const withoutDigests = (value: JsonValue): JsonValue =>
  typeof value !== 'object' || value === null || Array.isArray(value)
    ? value
    : Object.fromEntries(
        Object.entries(value).flatMap(([name, of]) => (name === 'sha-256' ? [] : [[name, withoutDigests(of)]])),
      );

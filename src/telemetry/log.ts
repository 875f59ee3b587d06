import { LOG_LEVELS } from '../config/log.ts';
import type { LogConfig, LogLevel } from '../config/log.ts';
import { printable } from '../ledger/timeline-text.ts';

/**
 * Every event of the log with its level: what a query, an alert or a run-book selects by. `fault` is told once when it begins or
 * changes, and `recovered` once when it is over; their field `what` says of which part.
 */
export const logEvents = {
  start: 'info',
  ready: 'info',
  'not-ready': 'warn',
  reload: 'info',
  'config-applied': 'info',
  'config-waiting': 'warn',
  'config-refused': 'error',
  'keys-read': 'info',
  'policies-loaded': 'info',
  'policies-refused': 'error',
  'policies-warning': 'warn',
  candidate: 'info',
  'svid-renewed': 'info',
  'keys-published': 'info',
  migrated: 'info',
  ledger: 'info',
  fault: 'error',
  recovered: 'info',
  'check-failed': 'error',
  'issuer-failed': 'error',
  'issuer-limit': 'warn',
  finding: 'warn',
  outcomes: 'warn',
  clock: 'warn',
  telemetry: 'warn',
  runtime: 'warn',
  drain: 'info',
  fatal: 'error',
  notice: 'info',
} as const satisfies Readonly<Record<string, LogLevel>>;

/** Name of an event, such as `not-ready`. */
export type LogEvent = keyof typeof logEvents;

/** What belongs to an event, for machines; never a token, a key or a header's value. */
export type LogFields = Readonly<Record<string, string | number | boolean | null>>;

/** Writes a line of the log: words for people, the event that it is (default `notice`), and what belongs to it. */
export type Log = (message: string, event?: LogEvent, fields?: LogFields) => void;

/** What a log is written with. */
export interface LogOptions {
  /** Its form and level, asked for each line. */
  readonly config: () => LogConfig;
  /** Wall clock, milliseconds since the Unix epoch. */
  readonly nowMs: () => number;
}

/**
 * A log of one line an event: time (RFC 3339 in UTC, with milliseconds), level, event, message and fields, as
 * `2026-11-26T17:28:20.123Z warn not-ready not ready: … what=policies` or as one JSON object. What does not print is `?`.
 */
export function logTo(write: (line: string) => void, { config, nowMs }: LogOptions): Log {
  return (message, event = 'notice', fields = {}) => {
    const { format, level } = config();
    const of = logEvents[event];
    if (LOG_LEVELS.indexOf(of) < LOG_LEVELS.indexOf(level)) return;
    const text = format === 'json' ? jsonLine : textLine;
    write(printable(text({ time: new Date(nowMs()).toISOString(), level: of, event, message }, fields)));
  };
}

interface Line {
  readonly time: string;
  readonly level: LogLevel;
  readonly event: LogEvent;
  readonly message: string;
}

// The fields first, so that none takes the place of a member of the line.
const jsonLine = (line: Line, fields: LogFields): string => JSON.stringify({ ...line, ...fields, ...line });

const textLine = ({ time, level, event, message }: Line, fields: LogFields): string =>
  [time, level.padEnd(5), event, message, ...Object.entries(fields).map(wordOf)].join(' ');

const wordOf = ([name, value]: readonly [string, LogFields[string]]): string =>
  `${name}=${typeof value === 'string' && !/^[\x21\x23-\x3c\x3e-\x7e]+$/.test(value) ? JSON.stringify(value) : String(value)}`;

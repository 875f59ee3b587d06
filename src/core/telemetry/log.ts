import { LOG_LEVELS } from '../config/log.ts';
import type { LogConfig, LogLevel } from '../config/log.ts';
import { printable } from '../ledger/timeline-text.ts';

/**
 * All log events with their levels, for queries, alerts and runbooks. `fault` is logged once when it begins or changes and
 * `recovered` once when it ends; their field `what` names the component.
 */
export const logEvents = {
  start: 'info',
  'start-waits': 'warn',
  ready: 'info',
  'not-ready': 'warn',
  'gate-waived': 'warn',
  reload: 'info',
  'config-applied': 'info',
  'config-waiting': 'warn',
  'config-refused': 'error',
  'keys-read': 'info',
  'policies-loaded': 'info',
  'policies-refused': 'error',
  'policies-warning': 'warn',
  candidate: 'info',
  'candidate-refused': 'warn',
  'svid-renewed': 'info',
  'svid-refused': 'error',
  'keys-published': 'info',
  migrated: 'info',
  ledger: 'info',
  'records-missing': 'error',
  authority: 'info',
  fault: 'error',
  recovered: 'info',
  'caller-refused': 'warn',
  'check-failed': 'error',
  'long-turn': 'warn',
  'socket-rebound': 'warn',
  'issuer-failed': 'error',
  'tool-changed': 'error',
  'tool-as-reviewed': 'info',
  'tools-not-listed': 'warn',
  'issuer-limit': 'warn',
  finding: 'warn',
  'signals-sent': 'info',
  'signals-failed': 'error',
  'signals-dropped': 'error',
  'signal-refused': 'error',
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

/** Fields of an event, for machines; never a token, a key or a header's value. */
export type LogFields = Readonly<Record<string, string | number | boolean | null>>;

/** Logs a line: text for people, its event (default `notice`), and fields. */
export type Log = (message: string, event?: LogEvent, fields?: LogFields) => void;

/** The dependencies of a log. */
export interface LogOptions {
  /** Format and level, read for each line. */
  readonly config: () => LogConfig;
  /** Wall clock, milliseconds since the Unix epoch. */
  readonly nowMs: () => number;
}

/**
 * A log with one line per event: time (RFC 3339 in UTC, milliseconds), level, event, message and fields, as
 * `2026-11-26T17:28:20.123Z warn not-ready not ready: … what=policies` or as one JSON object. Unprintable characters become
 * `?`.
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

// The line comes again after the fields, so that no field can overwrite its members.
const jsonLine = (line: Line, fields: LogFields): string => JSON.stringify({ ...line, ...fields, ...line });

const textLine = ({ time, level, event, message }: Line, fields: LogFields): string =>
  [time, level.padEnd(5), event, message, ...Object.entries(fields).map(wordOf)].join(' ');

const wordOf = ([name, value]: readonly [string, LogFields[string]]): string =>
  `${name}=${typeof value === 'string' && !/^[\x21\x23-\x3c\x3e-\x7e]+$/.test(value) ? JSON.stringify(value) : String(value)}`;

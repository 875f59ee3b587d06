import { oneOf, optional } from '../runtime/fields.ts';
import { section } from './fields.ts';

/** Levels of the log, lowest first. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The log of events on standard error. */
export interface LogConfig {
  /** Text for people, or JSON lines. Default `text`. */
  readonly format: 'text' | 'json';
  /** Lowest level that is logged. Default `info`. */
  readonly level: LogLevel;
}

/** The section `log`. */
export const log = section<LogConfig>({
  format: optional(oneOf(['text', 'json']), 'text'),
  level: optional(oneOf(LOG_LEVELS), 'info'),
});

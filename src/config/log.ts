import { optional, section, word } from './fields.ts';

/** How much a line of the log matters, least first. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The log of events on standard error. */
export interface LogConfig {
  /** Lines of text for people, or of JSON. Default `text`. */
  readonly format: 'text' | 'json';
  /** The least that is told. Default `info`. */
  readonly level: LogLevel;
}

/** The section `log`. */
export const log = section<LogConfig>({
  format: optional(word(['text', 'json']), 'text'),
  level: optional(word(LOG_LEVELS), 'info'),
});

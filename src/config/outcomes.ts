import { integer, optional, section, word } from './fields.ts';

/** What Envoy's access log says about the calls that were decided. */
export interface OutcomesConfig {
  /**
   * `auto`: an outcome is missed only once an access log has connected; `always`: from the start, which is right where
   * Envoy is known to send one. Default `auto`.
   */
  readonly expected: 'auto' | 'always';
  /**
   * How long a use may be without an outcome, or a sign that its call goes on. Default 60 s, 1 to 86,400. More than Envoy's
   * `access_log_flush_interval`; where there is none, more than its longest call.
   */
  readonly timeoutSeconds: number;
}

/** Reads the section `outcomes`. */
export const outcomes = section<OutcomesConfig>({
  expected: optional(word(['auto', 'always']), 'auto'),
  timeoutSeconds: optional(integer(1, 86_400), 60),
});

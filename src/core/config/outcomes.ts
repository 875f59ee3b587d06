import { integer, oneOf, optional } from '../runtime/fields.ts';
import { section } from './fields.ts';

/** How outcomes from Envoy's access log are expected. */
export interface OutcomesConfig {
  /**
   * `auto`: an outcome can be missing only after an access log has connected. `always`: from the start, for an Envoy that is known to
   * send an access log. Default `auto`.
   */
  readonly expected: 'auto' | 'always';
  /**
   * How long a use may wait for its outcome, or for a sign that its call is still running. Must exceed Envoy's `access_log_flush_interval`,
   * or its longest call if that is not set. Default 60 s, 1 to 86,400.
   */
  readonly timeoutSeconds: number;
}

/** Reads the section `outcomes`. */
export const outcomes = section<OutcomesConfig>({
  expected: optional(oneOf(['auto', 'always']), 'auto'),
  timeoutSeconds: optional(integer(1, 86_400), 60),
});

/** A call without a token, made to test whether Envoy asks Remit about it. */
export interface CanaryFacts {
  /** Its URL without query and credentials. */
  readonly url: string;
  /** Its status. */
  readonly status: number;
  /** The header `x-remit-decision` of its answer, at most 200 characters; empty for none. */
  readonly decision: string;
  /** How many checks of any caller Remit answered or refused during the call; `null` if Remit could not be asked. */
  readonly checks: number | null;
}

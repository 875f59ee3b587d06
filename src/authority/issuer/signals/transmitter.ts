/** A configured transmitter of signals. */
export interface Transmitter {
  /** The `iss` of its Security Event Tokens, compared exactly. */
  readonly issuer: string;
  /** Required value in their `aud`: this receiver's identifier at the transmitter. */
  readonly audience: string;
  /** Issuers whose users it may name in `iss_sub` subjects, usually itself; users of others match no task. */
  readonly subjectIssuers: ReadonlySet<string>;
}

/** Who may send signals, and of whom it may speak. */
export interface Transmitter {
  /** The `iss` of its Security Event Tokens, compared exactly. */
  readonly issuer: string;
  /** What their `aud` must be or contain: the receiver, as this transmitter knows it. */
  readonly audience: string;
  /** Issuers whose users it may name in an `iss_sub` subject; a user of any other is not matched. Usually itself. */
  readonly subjectIssuers: ReadonlySet<string>;
}

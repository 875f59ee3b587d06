/** A token of a task as it is remembered: never the token itself. */
export interface IssuedTokenState {
  /** base64url SHA-256 of the `jti`. */
  readonly jtiDigest: string;
  readonly audience: string;
  /** Milliseconds since the Unix epoch, as all instants here. */
  readonly issuedAtMs: number;
  /** By the floor of the store: its `exp` as far ahead as that was of the wall clock. */
  readonly expiresAtMs: number;
  /** The task's generation when it was issued; once the task has a later one, the token is dead. */
  readonly generation: number;
  /** `null` until it is revoked by itself. */
  readonly revokedAtMs: number | null;
  /** Thumbprint of what it is bound to: the `x5t#S256` or `jkt` of its `cnf`. */
  readonly boundTo: string;
}

/** What is stored of an issued token; never the token itself. */
export interface IssuedTokenState {
  /** base64url SHA-256 of the `jti`. */
  readonly jtiDigest: string;
  readonly audience: string;
  /** Milliseconds since the Unix epoch, as are all instants here. */
  readonly issuedAtMs: number;
  /** Expiry by the store's floor: as far ahead of the floor as `exp` was of the wall clock. */
  readonly expiresAtMs: number;
  /** The task's generation at issuance. The token is dead once the task has a later generation. */
  readonly generation: number;
  /** `null` unless the token itself was revoked. */
  readonly revokedAtMs: number | null;
  /** Thumbprint of its binding: the `x5t#S256` or `jkt` of its `cnf`. */
  readonly boundTo: string;
}

/** Clock and randomness of a log. */
export interface LogPorts {
  readonly nowMs: () => number;
  readonly monotonicMs: () => number;
  readonly randomBytes: (length: number) => Uint8Array;
}

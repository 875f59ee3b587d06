/** A clock that stands at zero, and randomness without chance. */
export const stillPorts = {
  monotonicMs: () => 0,
  randomBytes: (length: number): Uint8Array => new Uint8Array(length),
};

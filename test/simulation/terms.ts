/** Lengths of time, in the proportions of the product, but shorter, so that a run meets more faults. */
export const LEASE_MS = 1_000;
export const MARGIN_MS = 50;
export const PING_MS = 200;
export const POLL_MS = 25;

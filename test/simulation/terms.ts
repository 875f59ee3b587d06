/** Lengths of time, in the proportions of the product, but shorter, so that a run meets more faults. */
export const LEASE_MS = 1_000;
export const MARGIN_MS = 50;
export const PING_MS = 200;
export const POLL_MS = 25;
/** A window of a limit over all tasks. */
export const WINDOW_MS = 500;
/** A wall clock may be so far ahead, always, if limits have windows. */
export const MOST_LEAD_MS = 250;
/** Most calls of all tasks in a window: about as many as are tried. */
export const WINDOW_CALLS = 100;
/** The wall clock at the start of a run, if it is right. */
export const EPOCH_MS = 1_000_000;
/** The window of an instant of a wall clock. */
export const windowAt = (wallMs: number): number => Math.floor(wallMs / WINDOW_MS);

/** How often a ledger looks for records, and each so many looks it tells the others how far it is. */
export const LOOK_MS = 60;
export const LOOKS_TO_TELL = 3;
/** Within this time after the last fault all authorities tell of a loss: sidecars notice a silent stream, connect, and two commits follow. */
export const TOLD_MS = 1_500;
/** For so long a ledger that says nothing is waited for. */
export const AWAITED_MS = 400;

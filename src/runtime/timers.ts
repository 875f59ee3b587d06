/** Runs something once after `delayMs`; the returned function cancels it. A parameter, so that a test controls time. */
export type After = (delayMs: number, run: () => void) => () => void;

/** The runtime's own timers. They do not keep the process alive. */
export const after: After = (delayMs, run) => {
  const timer = setTimeout(run, delayMs);
  timer.unref();
  return () => clearTimeout(timer);
};

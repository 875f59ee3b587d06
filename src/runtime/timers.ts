/** Runs something once, `delayMs` from now; the result takes that back. A parameter, so that a test can hold time. */
export type After = (delayMs: number, run: () => void) => () => void;

/** The runtime's own timers. They do not keep the process alive. */
export const after: After = (delayMs, run) => {
  const timer = setTimeout(run, delayMs);
  timer.unref();
  return () => clearTimeout(timer);
};

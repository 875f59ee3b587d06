/** Runs something once after `delayMs`; the returned function cancels it. A parameter, so that a test controls time. */
export type After = (delayMs: number, run: () => void) => () => void;

/** The runtime's own timers. They do not keep the process alive. */
export const after: After = (delayMs, run) => {
  const timer = setTimeout(run, delayMs);
  timer.unref();
  return () => clearTimeout(timer);
};

/**
 * As `after`, but not before the event loop has read what arrived meanwhile: if the process stood still (a paused machine, a long
 * collection), timers run before sockets, and would time out a peer whose bytes are here.
 */
export const afterReading: After = (delayMs, run) => {
  let immediate: NodeJS.Immediate | undefined;
  // An immediate runs once the sockets have been read.
  const cancel = after(delayMs, () => (immediate = setImmediate(run)));
  return () => {
    cancel();
    clearImmediate(immediate);
  };
};

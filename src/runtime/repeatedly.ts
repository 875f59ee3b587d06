/** What a loop runs with. */
export interface Repeating {
  readonly everyMs: number;
  /** Runs something once, `delayMs` from now; the result takes that back. */
  readonly after: (delayMs: number, run: () => void) => () => void;
  /** Told what a run threw, as `messageOfFault` has it. It must not throw. */
  readonly onFault: (fault: string) => void;
}

/**
 * Runs `work` again and again, `everyMs` from the end of one run to the begin of the next, first after `everyMs`. A run that throws or
 * rejects is told to `onFault`, and the next one comes all the same: no fault ends a loop in silence.
 *
 * @returns ends it: a run under way goes on to its end, when the promise resolves, and none comes after it; it never rejects
 */
export function repeatedly(
  work: () => Promise<unknown> | void,
  { everyMs, after, onFault }: Repeating,
): () => Promise<void> {
  let isOver = false;
  let cancel: (() => void) | null = null;
  let underWay: Promise<void> = Promise.resolve();
  const run = async (): Promise<void> => {
    try {
      await work();
    } catch (error) {
      onFault(messageOfFault(error));
    }
    if (!isOver) wait();
  };
  const wait = (): void => {
    cancel = after(everyMs, () => void (underWay = run()));
  };
  wait();
  return () => {
    isOver = true;
    cancel?.();
    return underWay;
  };
}

/** What was thrown, in one line for a log: its name and message, or `unknown error`. */
export const messageOfFault = (error: unknown): string =>
  error instanceof Error ? `${error.name}: ${error.message}` : 'unknown error';

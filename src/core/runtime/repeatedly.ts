/** Runs something again and again, with a pause; an error does not end the loop. */

/** What a loop needs. */
export interface Repeating {
  readonly everyMs: number;
  /** Runs something once after `delayMs`. The returned function cancels it. */
  readonly after: (delayMs: number, run: () => void) => () => void;
  /** Called with what a run threw, formatted by `messageOfFault`. It must not throw. */
  readonly onFault: (fault: string) => void;
}

/**
 * Runs `work` in a loop. The pause of `everyMs` counts from the end of one run to the start of the next; the first run comes
 * after one pause. A run that throws or rejects is reported to `onFault` and the loop goes on.
 *
 * @returns stops the loop; resolves once a run under way has finished; never rejects
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

/** An error in one line for a log: its name and message, or `unknown error`. */
export const messageOfFault = (error: unknown): string =>
  error instanceof Error ? `${error.name}: ${error.message}` : 'unknown error';

import { messageOfFault } from '../runtime/repeatedly.ts';
import { isStartProblem } from './start-problem.ts';
import type { StartProblem } from './start-problem.ts';

/** Closes one part. */
type Closer = () => unknown;

/** What closes the parts of a process, last opened first. */
export class Closers {
  readonly #log: (line: string) => void;
  #open: Closer[] = [];

  /** @param log told, a line each, of a part that could not be closed */
  constructor(log: (line: string) => void) {
    this.#log = log;
  }

  /** Has a part closed by `close`. To be called as soon as the part is open, before anything else is opened. */
  push(closer: Closer): void {
    this.#open.push(closer);
  }

  /** Closes each part once, the last first; one that throws leaves none of the others open. Never rejects. */
  async close(): Promise<void> {
    for (let closer = this.#open.pop(); closer !== undefined; closer = this.#open.pop()) {
      try {
        await closer();
      } catch (error) {
        this.#log(`a part of the process could not be closed: ${messageOfFault(error)}`);
      }
    }
  }
}

/**
 * Starts parts one after the other. Where one of them comes to a problem or throws, whatever was opened before is closed, in reverse
 * order; what was thrown is a problem then.
 *
 * @returns what `start` gives, with what closes all of it
 */
export async function startedOrClosed<T extends object>(
  log: (line: string) => void,
  start: (closers: Closers) => Promise<T | StartProblem>,
): Promise<(T & { readonly close: () => Promise<void> }) | StartProblem> {
  const closers = new Closers(log);
  const started = await start(closers).catch((error: unknown) => ({
    problem: `the start failed: ${messageOfFault(error)}`,
  }));
  if (!isStartProblem(started)) return { ...started, close: () => closers.close() };
  await closers.close();
  return started;
}

import { messageOfFault } from '../core/runtime/repeatedly.ts';
import { isStartProblem } from './start-problem.ts';
import type { StartProblem } from './start-problem.ts';

/** Closes a part. */
type Closer = () => unknown;

/** Closes the parts of a process, last opened first. */
export class Closers {
  readonly #log: (line: string) => void;
  #open: Closer[] = [];

  /** @param log receives a line for each part that could not be closed */
  constructor(log: (line: string) => void) {
    this.#log = log;
  }

  /** Registers a closer. Call it as soon as a part is open, before anything else is opened. */
  push(closer: Closer): void {
    this.#open.push(closer);
  }

  /** Closes each part once, last opened first. If a part throws, the others are still closed. Never rejects. */
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
 * Starts parts one after the other. If a part has a problem or throws, everything opened before is closed in reverse order. A thrown error
 * becomes a problem.
 *
 * @returns the result of `start`, with a function that closes all of it
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

import { messageOfFault } from '../runtime/repeatedly.ts';
import { certificateInstant, isSameSvid, type Svid } from './svid.ts';

/** What a {@link HeldSvid} works with. */
export interface HeldSvidOptions {
  /** Wall clock, milliseconds since the Unix epoch. */
  readonly nowMs: () => number;
  /** Told of a problem when it begins or changes, for a log. Holds nothing secret. */
  readonly onProblem?: (problem: string) => void;
}

/**
 * The SVID that a source holds: the last good one stays until a newer takes its place, it is withdrawn or its validity
 * ends.
 */
export class HeldSvid {
  readonly #options: HeldSvidOptions;
  readonly #listeners = new Set<(svid: Svid) => void>();
  #svid: Svid | null = null;
  #problem: string | null = null;

  constructor(options: HeldSvidOptions) {
    this.#options = options;
  }

  /** Puts `svid` in the place of the one before and tells every listener, unless it is the same. One that throws is a problem. */
  take(svid: Svid): void {
    const isNew = this.#svid === null || !isSameSvid(this.#svid, svid);
    this.#svid = svid;
    this.#problem = null;
    if (isNew) for (const listener of this.#listeners) this.#tell(listener, svid);
  }

  #tell(listener: (svid: Svid) => void, svid: Svid): void {
    try {
      listener(svid);
    } catch (error) {
      this.report(`the svid was renewed, and not taken by all that use it: ${messageOfFault(error)}`);
    }
  }

  /** Says what is wrong; what is held stays. */
  report(problem: string): void {
    if (this.#problem === problem) return;
    this.#problem = problem;
    this.#options.onProblem?.(problem);
  }

  /** Gives up what is held: this process has that identity no more. */
  withdraw(problem: string): void {
    this.#svid = null;
    this.report(problem);
  }

  current(): Svid | null {
    return this.#svid === null || this.#svid.notAfterMs < this.#options.nowMs() ? null : this.#svid;
  }

  problem(): string | null {
    if (this.#svid === null) return this.#problem ?? 'no svid has been received yet';
    if (this.current() !== null) return this.#problem;
    const ended = `the svid ended at ${certificateInstant(this.#svid.notAfterMs)}`;
    return this.#problem === null ? ended : `${ended}: ${this.#problem}`;
  }

  onChange(listener: (svid: Svid) => void): () => void {
    // A function of its own for each call, so that one listener added twice is told twice and ends once.
    const own = (svid: Svid): void => listener(svid);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }
}

import { messageOfFault } from '../runtime/repeatedly.ts';
import { certificateInstant, isSameSvid, type Svid } from './svid.ts';

/** What a {@link HeldSvid} needs. */
export interface HeldSvidOptions {
  /** Wall clock, milliseconds since the Unix epoch. */
  readonly nowMs: () => number;
  /** Called when a problem begins or changes, for a log. Contains nothing secret. */
  readonly onProblem?: (problem: string) => void;
}

/** The SVID that a source holds: the last good one, until a newer one replaces it, it is withdrawn or it expires. */
export class HeldSvid {
  readonly #options: HeldSvidOptions;
  readonly #listeners = new Set<(svid: Svid) => void>();
  #svid: Svid | null = null;
  #problem: string | null = null;

  constructor(options: HeldSvidOptions) {
    this.#options = options;
  }

  /** Replaces the SVID and notifies every listener, unless it is the same. A listener that throws becomes a problem. */
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
      this.report(`the svid was renewed, but a user of it failed to take it over: ${messageOfFault(error)}`);
    }
  }

  /** Reports a problem and keeps the SVID. */
  report(problem: string): void {
    if (this.#problem === problem) return;
    this.#problem = problem;
    this.#options.onProblem?.(problem);
  }

  /** Drops the SVID: this process no longer has that identity. */
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
    // Wraps the listener, so that one added twice is called twice and removed separately.
    const own = (svid: Svid): void => listener(svid);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }
}

import { messageOfFault } from '../runtime/repeatedly.ts';
import { certificateInstant, isSameSvid, type Svid, type SvidProblem, type SvidRefusal } from './svid.ts';

/** What a {@link HeldSvid} needs. */
export interface HeldSvidOptions {
  /** Wall clock, milliseconds since the Unix epoch. */
  readonly nowMs: () => number;
  /** Runs something once after `delayMs`; the returned function cancels it. */
  readonly after: (delayMs: number, run: () => void) => () => void;
  /** Called when a problem begins or changes, and with `null` once an SVID is taken over, for a log. Contains nothing secret. */
  readonly onProblem?: ((problem: string | null) => void) | undefined;
  /** Called when the refusal of an SVID begins or changes, for a log. Default: `onProblem` is called instead. */
  readonly onRefused?: ((refusal: SvidRefusal) => void) | undefined;
}

/** How often an SVID that is not in use yet is checked again: the clock can be set. */
const LOOK_MS = 5_000;

/**
 * The SVID that a source holds: the last good SVID, until it is replaced or withdrawn or expires. INVARIANT: an offered
 * SVID replaces a good SVID only if it is good now, and of the same workload.
 *
 * Lifecycle: serves from construction on; `close` once.
 */
export class HeldSvid {
  readonly #options: HeldSvidOptions;
  readonly #listeners = new Set<(svid: Svid) => void>();
  #svid: Svid | null = null;
  #problem: string | null = null;
  #refusal: SvidRefusal | null = null;
  #cancelLook: () => void = () => undefined;

  constructor(options: HeldSvidOptions) {
    this.#options = options;
  }

  /**
   * Replaces the held SVID and notifies every listener, unless it is the same. A listener that throws becomes a problem. An SVID that is
   * not valid yet, or of another workload while the held SVID is good, is refused now, and used once that has changed.
   */
  offer(svid: Svid): void {
    this.#cancelLook();
    const refusal = this.#refusalOf(svid);
    if (refusal === null) return this.#take(svid);
    const waitMs = svid.notBeforeMs - this.#options.nowMs();
    this.#cancelLook = this.#options.after(waitMs > 0 ? Math.min(waitMs, LOOK_MS) : LOOK_MS, () => this.offer(svid));
    this.#refuse(refusal);
  }

  /** Records that an unusable SVID was offered, and keeps the held SVID. */
  refuse({ problem, cause = 'invalid' }: SvidProblem): void {
    this.#cancelLook();
    this.#refuse({ problem, cause });
  }

  /** Reports a problem of the source and keeps the SVID. */
  report(problem: string): void {
    if (this.#problem === problem) return;
    this.#problem = problem;
    this.#options.onProblem?.(problem);
  }

  /** Drops the SVID: this process no longer has that identity. */
  withdraw(problem: string): void {
    this.#cancelLook();
    this.#svid = null;
    this.#refusal = null;
    this.report(problem);
  }

  current(): Svid | null {
    return this.#svid === null || this.#svid.notAfterMs < this.#options.nowMs() ? null : this.#svid;
  }

  problem(): string | null {
    const problem = this.#refusal?.problem ?? this.#problem;
    if (this.#svid === null) return problem ?? 'no svid has been received yet';
    if (this.current() !== null) return problem;
    const ended = `the svid ended at ${certificateInstant(this.#svid.notAfterMs)}`;
    return problem === null ? ended : `${ended}: ${problem}`;
  }

  refusal(): SvidRefusal | null {
    return this.#refusal;
  }

  onChange(listener: (svid: Svid) => void): () => void {
    // Wraps the listener, so that a listener added twice is called twice and removed separately.
    const own = (svid: Svid): void => listener(svid);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  /** Stops waiting for an SVID to become valid. */
  close(): void {
    this.#cancelLook();
  }

  #refusalOf({ id, notBeforeMs, notAfterMs }: Svid): SvidRefusal | null {
    const nowMs = this.#options.nowMs();
    const held = this.current();
    if (held !== null && held.id !== id) {
      const problem = `the new svid is of \`${id}\`, but this process is \`${held.id}\`: restart it to change its identity`;
      return { cause: 'other-id', problem };
    }
    if (notBeforeMs > nowMs) {
      const problem = `the certificate is not valid before ${certificateInstant(notBeforeMs)}, and is taken over then`;
      return { cause: 'not-yet-valid', problem };
    }
    return notAfterMs < nowMs
      ? { cause: 'expired', problem: `the certificate expired at ${certificateInstant(notAfterMs)}` }
      : null;
  }

  #take(svid: Svid): void {
    const isNew = this.#svid === null || !isSameSvid(this.#svid, svid);
    const hadProblem = this.#problem !== null || this.#refusal !== null;
    this.#svid = svid;
    this.#problem = null;
    this.#refusal = null;
    if (hadProblem) this.#options.onProblem?.(null);
    if (isNew) for (const listener of this.#listeners) this.#tell(listener, svid);
  }

  #refuse(refusal: SvidRefusal): void {
    const isSame = this.#refusal?.problem === refusal.problem;
    this.#refusal = refusal;
    if (isSame) return;
    if (this.#options.onRefused === undefined) this.#options.onProblem?.(refusal.problem);
    else this.#options.onRefused(refusal);
  }

  #tell(listener: (svid: Svid) => void, svid: Svid): void {
    try {
      listener(svid);
    } catch (error) {
      this.report(`the svid was renewed, but a user of it failed to take it over: ${messageOfFault(error)}`);
    }
  }
}

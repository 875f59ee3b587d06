import { createHash } from 'node:crypto';
import { firstSvid } from '../identity/first-svid.ts';
import type { Svid, SvidProblem, SvidSource } from '../identity/svid.ts';
import { openSvidSource, type SvidSettings } from '../identity/svid-settings.ts';
import type { Ports } from '../runtime/ports.ts';
import { after, type After } from '../runtime/timers.ts';

/** The agent of the Workload API may have to fetch the first one. Files are there or they are not. */
const FIRST_MS = { 'workload-api': 10_000, files: 0 } as const;

/**
 * The SVID that a run acts with: the one that its command has too. Whatever renews it needs to tell nobody.
 *
 * Lifecycle: from `open` to `close`.
 */
export class OwnSvid {
  readonly #source: SvidSource;
  readonly #firstMs: number;

  private constructor(source: SvidSource, firstMs: number) {
    this.#source = source;
    this.#firstMs = firstMs;
  }

  static async open(settings: SvidSettings, ports: Pick<Ports, 'nowMs' | 'randomBytes'>): Promise<OwnSvid> {
    return new OwnSvid(await openSvidSource(settings, { ports, after }), FIRST_MS[settings.kind]);
  }

  /** The SVID to use for the next connection; of the Workload API, waits for the first one for at most 10 s. */
  now(): Promise<Svid | SvidProblem> {
    return firstSvid(this.#source, { withinMs: this.#firstMs, after: waiting });
  }

  /** The thumbprint of its certificate, as `x5t#S256` has it; `null` where there is none just now. */
  thumbprint(): string | null {
    const svid = this.#source.current();
    return svid === null ? null : thumbprintOf(svid);
  }

  close(): void {
    this.#source.close();
  }
}

/** @see RFC 8705 section 3.1 */
export const thumbprintOf = ({ certificates: [leaf = new Uint8Array()] }: Svid): string =>
  createHash('sha256').update(leaf).digest('base64url');

/** Keeps the process alive, as nothing else may do while the first SVID is waited for. */
const waiting: After = (delayMs, run) => {
  const timer = setTimeout(run, delayMs);
  return () => clearTimeout(timer);
};

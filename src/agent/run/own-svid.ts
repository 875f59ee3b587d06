import { createHash } from 'node:crypto';
import { firstSvid } from '../../core/identity/first-svid.ts';
import type { Svid, SvidProblem, SvidSource } from '../../core/identity/svid.ts';
import { openSvidSource, type SvidSettings } from '../../core/identity/svid-settings.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import { after, type After } from '../../core/runtime/timers.ts';

/** How long to wait for the first SVID. The agent of the Workload API may have to fetch it; files exist or not. */
const FIRST_MS = { 'workload-api': 10_000, files: 0 } as const;

/**
 * The SVID of a run, which its command uses too. Renewal needs no notification.
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

  /** The SVID for the next connection; waits up to 10 s for the first SVID of the Workload API. */
  now(): Promise<Svid | SvidProblem> {
    return firstSvid(this.#source, { withinMs: this.#firstMs, after: waiting });
  }

  /** The thumbprint of its certificate (`x5t#S256`); `null` if there is none now. */
  thumbprint(): string | null {
    const svid = this.#source.current();
    return svid === null ? null : thumbprintOf(svid);
  }

  /** Calls `listener` with every new SVID or bundle, until `close`. */
  onChange(listener: (svid: Svid) => void): void {
    this.#source.onChange(listener);
  }

  close(): void {
    this.#source.close();
  }
}

const thumbprints = new WeakMap<Svid, string>();

/** Thumbprint of its certificate, computed once. @see RFC 8705 section 3.1 */
export function thumbprintOf(svid: Svid): string {
  const known = thumbprints.get(svid);
  if (known !== undefined) return known;
  const [leaf = new Uint8Array()] = svid.certificates;
  const thumbprint = createHash('sha256').update(leaf).digest('base64url');
  thumbprints.set(svid, thumbprint);
  return thumbprint;
}

/** A timer that keeps the process alive, because nothing else does while the first SVID is awaited. */
const waiting: After = (delayMs, run) => {
  const timer = setTimeout(run, delayMs);
  return () => clearTimeout(timer);
};

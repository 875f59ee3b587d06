import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Ports } from '../../runtime/ports.ts';
import { isProblem } from '../../runtime/problem.ts';
import type { Problem } from '../../runtime/problem.ts';
import type { PolicyFeed } from '../loading/feed.ts';
import { policySetsToServe } from '../loading/load.ts';
import type { PolicySet } from '../loading/load.ts';
import type { Findings } from '../loading/proved-set.ts';
import type { PolicyDisk, PolicySource } from '../loading/source.ts';
import { bundleFrom, MAX_BUNDLE_BYTES } from './bundle.ts';
import type { Bundle, BundleTrust } from './bundle.ts';
import type { FetchBundle } from './fetch.ts';
import { durablyReplaced } from '../../runtime/system/durable-replace.ts';
import { errorCode } from '../../runtime/system/error-code.ts';

/** What a bundle feed needs. */
export interface BundleFeedParts {
  /** The name of the bundle in findings: its file or address. */
  readonly label: string;
  readonly fetch: FetchBundle;
  /** Which bundles are accepted, evaluated for each bundle: a reload may have changed the keys. */
  readonly trust: () => BundleTrust;
  /** File that keeps the last bundle in force, so that a restart neither accepts an older bundle nor waits for the address. */
  readonly keptIn: string;
  readonly ports: Pick<Ports, 'nowMs' | 'randomBytes'>;
  /** Default: `policySetsToServe()`. */
  readonly load?: (source: PolicySource) => Promise<PolicySet | Findings>;
}

/** Reads the bundle from a file, as an address without ETags. */
export const bundleInFile =
  (file: string, disk: Pick<PolicyDisk, 'read'>): FetchBundle =>
  async () => {
    try {
      const bytes = await disk.read(file, MAX_BUNDLE_BYTES);
      if (bytes === null) return { problem: `must be a regular file of at most ${MAX_BUNDLE_BYTES} bytes` };
      return { kind: 'bundle', text: Buffer.from(bytes).toString('utf8'), etag: null };
    } catch (error) {
      return { problem: `could not be read: ${errorCode(error) ?? 'unknown error'}` };
    }
  };

/** The bundle in force, for sidecars. */
export interface BundleInForce {
  readonly serial: number;
  /** Digest of the text, from `bundleDigestOf`. */
  readonly digest: string;
  readonly text: string;
}

/** A bundle that was in force. */
interface Last {
  readonly bundle: Bundle;
  readonly digest: string;
}

/**
 * Signed bundles from one address. A bundle takes effect only if enough keys signed it, it has the configured name, its serial is not
 * lower than that of the last bundle in force, and it has not expired; a serial identifies one bundle. The last bundle is kept on disk: after a
 * restart it is in force until the address answers, and its serial is the minimum from then on. An expired bundle is loaded
 * only if there is no other, so that checks are denied with `policy.expired` rather than `policy.unavailable`.
 */
export class BundleFeed implements PolicyFeed {
  readonly isWhole = true;
  readonly #parts: BundleFeedParts;
  #etag: string | null = null;
  #text: string | null = null;
  /** The last bundle in force, of this process or an earlier process. */
  #last: Last | null = null;
  #isLoaded = false;
  #inForce: BundleInForce | null = null;
  #kept: string | null = null;
  readonly #setFrom: NonNullable<BundleFeedParts['load']>;

  constructor(parts: BundleFeedParts) {
    this.#parts = parts;
    this.#setFrom = parts.load ?? policySetsToServe();
  }

  /** The bundle that was loaded last; `null` before the first. */
  get inForce(): BundleInForce | null {
    return this.#inForce;
  }

  /** Reads the kept bundle; ignored if it would not be accepted any more, such as after a change of the name or the keys. */
  async restore(): Promise<void> {
    const found = await this.#onDisk();
    if (found === null) return;
    this.#last = found;
    this.#text = found.text;
    this.#kept = found.text;
  }

  async #onDisk(): Promise<(Last & { readonly text: string }) | null> {
    const { keptIn, trust, label } = this.#parts;
    const text = await readFile(keptIn, 'utf8').catch(() => null);
    const bundle = text === null ? null : bundleFrom(text, trust(), label);
    return text === null || bundle === null || isProblem(bundle)
      ? null
      : { bundle, digest: bundleDigestOf(text), text };
  }

  readonly fallBack = (): boolean => {
    if (this.#kept === null || this.#isLoaded || this.#text === this.#kept.trim()) return false;
    this.#text = this.#kept;
    // Fetch a refused bundle again: a better bundle may replace it.
    this.#etag = null;
    return true;
  };

  readonly look = async (): Promise<string | Problem> => {
    const fetched = await this.#parts.fetch(this.#etag);
    if (isProblem(fetched)) return { problem: `the bundle \`${this.#parts.label}\` ${fetched.problem}` };
    if (fetched.kind === 'bundle') {
      this.#etag = fetched.etag;
      this.#text = fetched.text.trim();
    }
    return this.#text === null
      ? { problem: 'the address answered `unchanged` before it sent a bundle' }
      : bundleDigestOf(this.#text);
  };

  readonly load = async (): Promise<PolicySet | Findings> => {
    const { label, trust, ports } = this.#parts;
    const content = this.#text;
    if (content === null) return this.#unfit('has not been fetched yet');
    const bundle = bundleFrom(content, trust(), label);
    if (isProblem(bundle)) return this.#unfit(bundle.problem);
    const digest = bundleDigestOf(content);
    // Another process that shares this file may have a newer bundle.
    const kept = await this.#onDisk();
    if (kept !== null && kept.bundle.serial > (this.#last?.bundle.serial ?? -1)) this.#last = kept;
    const problem =
      this.#orderProblem(bundle, digest) ?? (this.#isLoaded ? expiryProblem(bundle, ports.nowMs()) : null);
    if (problem !== null) return this.#unfit(problem);
    // INVARIANT: a bundle is proved before it is kept, and again at each start.
    const set = await this.#setFrom(bundle.source);
    if ('findings' in set) return set;
    // INVARIANT: a bundle is on disk before it takes effect, so that no crash forgets its serial.
    const unkept = this.#last?.digest === digest ? null : await keep(content, this.#parts);
    if (unkept !== null) return this.#unfit(unkept);
    this.#last = { bundle, digest };
    this.#isLoaded = true;
    this.#inForce = { serial: bundle.serial, digest, text: content.trim() };
    const { signers, name, version, serial, issuedAtMs, expiresAtMs } = bundle;
    return { ...set, bundle: { signers, name, version, serial, issuedAtMs }, expiresAtMs };
  };

  #orderProblem({ serial }: Bundle, digest: string): string | null {
    const last = this.#last;
    if (last === null || last.digest === digest) return null;
    if (serial < last.bundle.serial) return `has the serial ${serial}, and ${last.bundle.serial} was in force`;
    return serial === last.bundle.serial ? `has the serial ${serial} of another bundle that was in force` : null;
  }

  #unfit(problem: string): Findings {
    return {
      findings: [{ file: this.#parts.label, line: 1, column: 1, message: `the bundle ${problem}`, help: null }],
    };
  }
}

const expiryProblem = ({ expiresAtMs }: Bundle, nowMs: number): string | null =>
  nowMs < expiresAtMs ? null : `expired at ${new Date(expiresAtMs).toISOString()}`;

/** The digest that identifies a bundle: base64url SHA-256 of its text without white space at its ends. */
export const bundleDigestOf = (content: string): string =>
  createHash('sha256').update(content.trim()).digest('base64url');

/**
 * Writes and syncs a temporary file, renames it, and syncs the folder: without that, a loss of power brings back the file before, and with it a
 * lower serial. A problem if that fails; otherwise `null`.
 */
async function keep(content: string, { keptIn, ports }: BundleFeedParts): Promise<string | null> {
  const fresh = `${keptIn}.${Buffer.from(ports.randomBytes(6)).toString('hex')}`;
  try {
    await durablyReplaced(keptIn, content, fresh);
    return null;
  } catch (error) {
    return `could not be kept in \`${keptIn}\`: ${errorCode(error) ?? 'unknown error'}`;
  }
}

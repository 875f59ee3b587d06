import { bundleDigestOf } from '../../core/policy/bundle/bundle-feed.ts';
import { MAX_BUNDLE_BYTES } from '../../core/policy/bundle/bundle.ts';
import type { FetchedBundle } from '../../core/policy/bundle/fetch.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import type { After } from '../../core/runtime/timers.ts';
import type { AuthorityLink } from './authority-link.ts';

/** Longest time to fetch a bundle. */
const FETCH_MS = 10_000;
/** Longest wait for the first announcement after the start, and how often it is looked for. */
const FIRST_MS = 10_000;
const LOOK_MS = 50;

/** Dependencies of a bundle that an authority announces. */
export interface AnnouncedBundleServices {
  /** The connection of the stream; `undefined` while no authority is followed. */
  readonly link: () => AuthorityLink | undefined;
  readonly monotonicMs: () => number;
  readonly after: After;
}

/**
 * The signed policy bundle of the authority that is followed. The stream announces the digest of the bundle in force there; the bundle is
 * fetched only if the digest has changed. So reading an unchanged bundle makes no call. It fails while no authority is followed.
 */
export class AnnouncedBundle {
  readonly #services: AnnouncedBundleServices;
  readonly #begunMs: number;
  /** The digest announced on this stream, `''` if the authority has no bundle; `null` before that. */
  #digest: string | null = null;

  constructor(services: AnnouncedBundleServices) {
    this.#services = services;
    this.#begunMs = services.monotonicMs();
  }

  announced(digest: string): void {
    this.#digest = digest;
  }

  /** A new stream has begun: what an earlier stream announced may be old. */
  forget(): void {
    this.#digest = null;
  }

  /** As `FetchBundle`. Right after the start it waits for a stream, for up to 10 s. */
  async fetch(etag: string | null): Promise<FetchedBundle | Problem> {
    const { link, monotonicMs, after } = this.#services;
    while (this.#known() === null && monotonicMs() - this.#begunMs < FIRST_MS) {
      await new Promise<void>((resolve) => void after(LOOK_MS, resolve));
    }
    const digest = this.#known();
    const from = link();
    if (from === undefined) return { problem: 'could not be fetched: no authority is followed' };
    if (digest === null)
      return { problem: 'could not be fetched: the authority names none: it is of an earlier version' };
    if (digest === '') return { problem: 'could not be fetched: the authority has none: set its `policies.bundle`' };
    if (digest === etag) return { kind: 'unchanged' };
    const text = await from.bundle(etag ?? '', { maxBytes: MAX_BUNDLE_BYTES, timeoutMs: FETCH_MS });
    if (typeof text !== 'string') return text;
    return text === '' ? { kind: 'unchanged' } : { kind: 'bundle', text, etag: bundleDigestOf(text) };
  }

  #known(): string | null {
    return this.#services.link() === undefined ? null : this.#digest;
  }
}

import type { Down } from '../../core/fleet/messages.ts';
import type { ServedBundle } from './bundle-handler.ts';

/** What is announced. */
interface AnnouncedSources {
  readonly issuer: string;
  readonly jwks: () => Buffer;
  readonly bundle: () => ServedBundle | null;
}

/**
 * The messages that every sidecar gets after `Welcome`, and again when they change: the keys of tokens, and the signed policy
 * bundle in force.
 */
export class Announcements {
  readonly #sources: AnnouncedSources;
  /** Digest of the bundle that was announced to all. */
  #digest: string;

  constructor(sources: AnnouncedSources) {
    this.#sources = sources;
    this.#digest = this.#bundle().digest;
  }

  keys(): Down {
    const { issuer, jwks } = this.#sources;
    return { of: 'keys', keys: { issuer, jwks: jwks() } };
  }

  policy(): Down {
    return { of: 'policy', policy: this.#bundle() };
  }

  /** The bundle, if it has changed since the last call; else `null`. */
  changedPolicy(): Down | null {
    const { digest } = this.#bundle();
    if (digest === this.#digest) return null;
    this.#digest = digest;
    return this.policy();
  }

  #bundle(): { readonly serial: number; readonly digest: string } {
    const { serial = 0, digest = '' } = this.#sources.bundle() ?? {};
    return { serial, digest };
  }
}

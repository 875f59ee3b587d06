import { jtiDigestOf } from '../token/jti-digest.ts';
import type { After } from '../runtime/timers.ts';
import type { TaskToken } from '../token/claims.ts';
import type { TokenUses, UsesSoFar } from '../token/uses.ts';
import type { UsesOfToken } from './reported-uses.ts';
import type { TaskKey } from './store.ts';

/** Uses of a token that change nothing but its number are reported this often. */
const REPORT_MS = 5_000;
/** Most tokens that wait for that. The uses of further tokens are reported with a later use. */
const MAX_WAITING = 16_384;

/** A token of a task. */
type SharedToken = Pick<TaskToken, 'issuer' | 'taskId' | 'tokenId' | 'useKey'>;

/** Dependencies of the sharing of uses. */
export interface UseSharingServices {
  readonly uses: Pick<TokenUses, 'soFar'>;
  /** What others reported of the uses of a token; `null` for nothing, `undefined` while it is not known. */
  readonly usesBefore: (key: TaskKey, jtiDigest: string) => UsesSoFar | null | undefined;
  readonly report: (uses: UsesOfToken) => void;
  readonly after: After;
}

/**
 * Shares the uses of tokens that this process knows with the other sidecars of its authority. The first allowed use of a token, and a
 * use at another server or in another risk class, is reported at once; the others every five seconds.
 *
 * Lifecycle: `close` once. It reports what waits.
 */
export class UseSharing {
  readonly #services: UseSharingServices;
  /** The tokens whose uses are to be reported: the key of their uses, and their `jti`. */
  readonly #waiting = new Map<string, string>();
  #cancel: (() => void) | null = null;

  constructor(services: UseSharingServices) {
    this.#services = services;
  }

  /** The uses of a token that others have reported; `undefined` while not known. */
  before({ issuer, taskId, tokenId }: SharedToken): UsesSoFar | null | undefined {
    return this.#services.usesBefore({ issuer, id: taskId }, jtiDigestOf(tokenId));
  }

  /** A token was used. */
  used({ tokenId, useKey }: SharedToken, { isNewPlace }: { readonly isNewPlace: boolean }): void {
    if (isNewPlace) {
      this.#waiting.delete(useKey);
      return this.#report(useKey, tokenId);
    }
    if (this.#waiting.size >= MAX_WAITING && !this.#waiting.has(useKey)) return;
    this.#waiting.set(useKey, tokenId);
    this.#cancel ??= this.#services.after(REPORT_MS, () => this.#reportAll());
  }

  close(): void {
    this.#cancel?.();
    this.#reportAll();
  }

  #reportAll(): void {
    this.#cancel = null;
    for (const [useKey, tokenId] of this.#waiting) this.#report(useKey, tokenId);
    this.#waiting.clear();
  }

  #report(useKey: string, tokenId: string): void {
    const soFar = this.#services.uses.soFar(useKey);
    if (soFar !== null) this.#services.report({ jtiDigest: jtiDigestOf(tokenId), ...soFar });
  }
}

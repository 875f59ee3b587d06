import type { KeyRing } from '../../core/token/jose/keys.ts';

/** The keys of tokens that an authority announces to a sidecar, also before there is a key ring. */
export class AnnouncedKeys {
  readonly #jwks = new Map<string, unknown>();
  #ring: KeyRing | null = null;
  /** The issuer of the authority; `null` until it has announced itself. */
  issuer: string | null = null;

  readonly #onProblem: (problem: string | null) => void;

  constructor(onProblem: (problem: string | null) => void) {
    this.#onProblem = onProblem;
  }

  take(issuer: string, jwks: unknown): void {
    this.issuer = issuer;
    this.#jwks.set(issuer, jwks);
    if (this.#ring !== null) this.#onProblem(this.#ring.announce(issuer, jwks));
  }

  /** Keeps a ring in step from now on. */
  follow(ring: KeyRing): void {
    this.#ring = ring;
    for (const [issuer, jwks] of this.#jwks) this.#onProblem(ring.announce(issuer, jwks));
  }
}

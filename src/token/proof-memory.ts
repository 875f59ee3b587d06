import { createHash } from 'node:crypto';
import { deny, type Deny } from '../decision/decision.ts';
import type { Proof } from './proof.ts';

/** Proofs remembered at the same time, where nothing else is configured. */
export const DEFAULT_MAX_PROOFS = 100_000;

/** How a replay memory is bounded. */
export interface ProofMemoryOptions {
  /** For how long after its `iat` a proof is accepted and so remembered: `pastSeconds` of the `ProofRules`. */
  readonly pastSeconds: number;
  /** `DEFAULT_MAX_PROOFS` where absent. */
  readonly max?: number;
  /**
   * When the remembering began, milliseconds since the Unix epoch: a proof issued before may have been used with the
   * process before this one, and is refused.
   */
  readonly startedAtMs: number;
}

/**
 * Holds each DPoP proof to one use: remembers its key and `jti` for as long as the proof would be accepted. At its bound it
 * refuses what is new rather than forget what is old; a clock that steps back brings nothing back that was forgotten. It
 * is the memory of one process.
 *
 * @see RFC 9449 section 11.1
 */
export class ProofMemory {
  readonly #pastSeconds: number;
  readonly #max: number;
  readonly #known = new Set<string>();
  /** By the second of `iat`, so that what is over goes in one piece. */
  readonly #bySecond = new Map<number, string[]>();
  /** Whole seconds: no proof issued before is remembered, so none is accepted. */
  #horizonSeconds: number;

  constructor({ pastSeconds, max = DEFAULT_MAX_PROOFS, startedAtMs }: ProofMemoryOptions) {
    this.#pastSeconds = pastSeconds;
    this.#max = max;
    this.#horizonSeconds = Math.floor(startedAtMs / 1000);
  }

  /** Proofs remembered now, at most `max`. */
  get size(): number {
    return this.#known.size;
  }

  /**
   * Uses a verified proof up, once for every use of it: `null` the first time, `token.proof` for a proof that was used
   * before, that is older than the memory, or that the memory has no room for.
   *
   * @param nowMs milliseconds since the Unix epoch, the instant the proof was verified at
   */
  use({ thumbprint, proofId, issuedAtSeconds }: Proof, nowMs: number): Deny | null {
    this.#sweep(Math.ceil(nowMs / 1000) - this.#pastSeconds);
    if (issuedAtSeconds < this.#horizonSeconds) return deny('token.proof', 'the proof is older than the replay memory');
    const digest = createHash('sha256').update(`${thumbprint}.${proofId}`).digest('base64url');
    if (this.#known.has(digest)) return deny('token.proof', 'the proof was used before');
    if (this.#known.size >= this.#max) return deny('token.proof', 'the replay memory is full');
    this.#known.add(digest);
    const second = this.#bySecond.get(issuedAtSeconds);
    if (second === undefined) this.#bySecond.set(issuedAtSeconds, [digest]);
    else second.push(digest);
    return null;
  }

  /** Forgets the proofs issued before `seconds`, and refuses them from then on. */
  #sweep(seconds: number): void {
    if (seconds <= this.#horizonSeconds) return;
    this.#horizonSeconds = seconds;
    for (const [second, digests] of this.#bySecond) {
      if (second >= seconds) continue;
      for (const digest of digests) this.#known.delete(digest);
      this.#bySecond.delete(second);
    }
  }
}

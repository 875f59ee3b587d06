import { createHash } from 'node:crypto';
import { deny, type Deny } from '../decision/decision.ts';
import type { Proof } from './proof.ts';

/** Proofs remembered at the same time, where nothing else is configured. */
export const DEFAULT_MAX_PROOFS = 100_000;

/** Where DPoP proofs are held to one use each. */
export interface ReplayMemory {
  /**
   * Uses a verified proof up, once for every use of it: `null` the first time, else why it may not be used.
   *
   * @param nowMs milliseconds since the Unix epoch, the instant the proof was verified at
   */
  use(proof: Proof, nowMs: number): Deny | null;
}

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
 * is the memory of one process; `store/proof-file.ts` is that of several.
 *
 * @see RFC 9449 section 11.1
 */
export class ProofMemory implements ReplayMemory {
  readonly #pastSeconds: number;
  readonly #max: number;
  /** Seconds of `iat` that one bucket holds, so that there are about sixty of them. */
  readonly #bucketSeconds: number;
  /** By the time of `iat`: what is over goes with its bucket, in one piece, however much it is. */
  readonly #buckets = new Map<number, Set<string>>();
  #size = 0;
  /** Whole seconds: a proof issued before is refused, since it may have been forgotten. */
  #horizonSeconds: number;

  constructor({ pastSeconds, max = DEFAULT_MAX_PROOFS, startedAtMs }: ProofMemoryOptions) {
    this.#pastSeconds = pastSeconds;
    this.#max = max;
    this.#bucketSeconds = Math.max(1, Math.ceil(pastSeconds / 60));
    this.#horizonSeconds = Math.floor(startedAtMs / 1000);
  }

  /** Proofs remembered now, at most `max`. */
  get size(): number {
    return this.#size;
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
    for (const known of this.#buckets.values()) {
      if (known.has(digest)) return deny('token.proof', 'the proof was used before');
    }
    if (this.#size >= this.#max) return deny('token.proof', 'the replay memory is full');
    this.#remember(digest, Math.floor(issuedAtSeconds / this.#bucketSeconds));
    return null;
  }

  #remember(digest: string, bucket: number): void {
    const known = this.#buckets.get(bucket) ?? new Set();
    known.add(digest);
    this.#buckets.set(bucket, known);
    this.#size += 1;
  }

  /** Refuses the proofs issued before `seconds` from now on, and forgets them as far as their bucket is over. */
  #sweep(seconds: number): void {
    if (seconds <= this.#horizonSeconds) return;
    this.#horizonSeconds = seconds;
    for (const [bucket, known] of this.#buckets) {
      if ((bucket + 1) * this.#bucketSeconds > seconds) continue;
      this.#buckets.delete(bucket);
      this.#size -= known.size;
    }
  }
}

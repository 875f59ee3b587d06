import { createHash } from 'node:crypto';
import { deny, type Deny } from '../decision/decision.ts';
import type { Clocks } from '../runtime/ports.ts';
import { exceededBound } from './proof-share.ts';
import type { ProofBound } from './proof-share.ts';
import type { Proof } from './proof.ts';

/** Proofs remembered at the same time, by default. */
export const DEFAULT_MAX_PROOFS = 100_000;

/** The agent of a proof, and the time of its use. */
export interface ProofUse {
  /** The agent that its memory is charged to: a SPIFFE ID, or issuer and client of an external token. */
  readonly agent: string;
  /** The clocks by which the proof was verified. */
  readonly clocks: Pick<Clocks, 'wallMs' | 'floorMs'>;
}

/** A replay memory: enforces that each DPoP proof is used once. */
export interface ReplayMemory {
  /**
   * Uses up a verified proof. `null` on first use. Denies with `token.proof` where the proof was used before or is older than
   * the memory, and with `token.replay-memory-full` where its key, its agent or the whole memory is at a limit
   * (`exceededBound`).
   */
  use(proof: Proof, of: ProofUse): Deny | null;
}

/** Called with the limit that refused a proof. */
export type OnProofRefused = (bound: ProofBound) => void;

/** The denial of a verified proof that cannot be remembered. */
export const replayMemoryFull = (bound: ProofBound): Deny => deny('token.replay-memory-full', fullDetails[bound]);

const fullDetails: Readonly<Record<ProofBound, string>> = {
  key: 'the key has used up its share of the replay memory',
  agent: 'the agent has used up its share of the replay memory',
  memory: 'the replay memory is full',
};

/**
 * The `iat`, in seconds since the Unix epoch, before which proofs are too old by every clock and may be forgotten. Uses the
 * earlier clock, so that after a fast clock is corrected no current proof is refused.
 */
export const forgettableBefore = ({ wallMs, floorMs }: ProofUse['clocks'], pastSeconds: number): number =>
  Math.ceil(Math.min(wallMs, floorMs) / 1000) - pastSeconds;

/** The limits of a `ProofMemory`. */
export interface ProofMemoryOptions {
  /** How long after its `iat` a proof is accepted, and therefore remembered: `pastSeconds` of `ProofRules`. */
  readonly pastSeconds: number;
  /** `DEFAULT_MAX_PROOFS` where absent. */
  readonly max?: number;
  /**
   * When this memory began, milliseconds since the Unix epoch, by the later of wall clock and floor. A proof issued earlier may
   * have been used with the previous process and is refused.
   */
  readonly startedAtMs: number;
  readonly onRefused?: OnProofRefused;
}

/**
 * An in-memory replay memory of one process: remembers key and `jti` of each proof for as long as the proof would be accepted.
 * At its limits (`exceededBound`) it refuses new proofs rather than forget old ones. Stepping the clock back does not make
 * forgotten proofs usable again.
 *
 * @see RFC 9449 section 11.1
 */
export class ProofMemory implements ReplayMemory {
  readonly #pastSeconds: number;
  readonly #max: number;
  readonly #onRefused: OnProofRefused;
  /** Seconds of `iat` per bucket; there are about sixty buckets. */
  readonly #bucketSeconds: number;
  /** Buckets by `iat`: old proofs are dropped a bucket at a time. */
  readonly #buckets = new Map<number, Map<string, Holders>>();
  readonly #keys = new Map<string, Holder>();
  readonly #agents = new Map<string, Holder>();
  #size = 0;
  /** Whole seconds. A proof issued earlier is refused, because it may have been forgotten. */
  #horizonSeconds: number;

  constructor({ pastSeconds, max = DEFAULT_MAX_PROOFS, startedAtMs, onRefused = () => undefined }: ProofMemoryOptions) {
    this.#pastSeconds = pastSeconds;
    this.#max = max;
    this.#onRefused = onRefused;
    this.#bucketSeconds = Math.max(1, Math.ceil(pastSeconds / 60));
    this.#horizonSeconds = Math.floor(startedAtMs / 1000);
  }

  /** Proofs remembered now, at most `max`. */
  get size(): number {
    return this.#size;
  }

  /** See `ReplayMemory`. */
  use(
    { thumbprint, proofId, issuedAtSeconds }: Pick<Proof, 'thumbprint' | 'proofId' | 'issuedAtSeconds'>,
    { agent, clocks }: ProofUse,
  ): Deny | null {
    this.#sweep(forgettableBefore(clocks, this.#pastSeconds));
    if (issuedAtSeconds < this.#horizonSeconds) return deny('token.proof', 'the proof is older than the replay memory');
    const digest = createHash('sha256').update(`${thumbprint}.${proofId}`).digest('base64url');
    for (const known of this.#buckets.values()) {
      if (known.has(digest)) return deny('token.proof', 'the proof was used before');
    }
    const [ofKey, ofAgent] = [this.#keys.get(thumbprint)?.count ?? 0, this.#agents.get(agent)?.count ?? 0];
    const bound = exceededBound({ max: this.#max, size: this.#size, ofKey, ofAgent });
    if (bound === null) {
      const holders = { key: holderIn(this.#keys, thumbprint), agent: holderIn(this.#agents, agent) };
      this.#remember(digest, Math.floor(issuedAtSeconds / this.#bucketSeconds), holders);
      return null;
    }
    this.#onRefused(bound);
    return replayMemoryFull(bound);
  }

  #remember(digest: string, bucket: number, holders: Holders): void {
    const known = this.#buckets.get(bucket) ?? new Map<string, Holders>();
    known.set(digest, holders);
    this.#buckets.set(bucket, known);
    holders.key.count += 1;
    holders.agent.count += 1;
    this.#size += 1;
  }

  /** Raises the horizon to `seconds` and drops the buckets that end before it. */
  #sweep(seconds: number): void {
    if (seconds <= this.#horizonSeconds) return;
    this.#horizonSeconds = seconds;
    for (const [bucket, known] of this.#buckets) {
      if ((bucket + 1) * this.#bucketSeconds > seconds) continue;
      this.#buckets.delete(bucket);
      this.#size -= known.size;
      for (const { key, agent } of known.values()) {
        forgetOne(this.#keys, key);
        forgetOne(this.#agents, agent);
      }
    }
  }
}

/** Number of proofs of one key or agent. */
interface Holder {
  readonly name: string;
  count: number;
}

interface Holders {
  readonly key: Holder;
  readonly agent: Holder;
}

function holderIn(holders: Map<string, Holder>, name: string): Holder {
  const known = holders.get(name);
  if (known !== undefined) return known;
  const holder = { name, count: 0 };
  holders.set(name, holder);
  return holder;
}

function forgetOne(holders: Map<string, Holder>, holder: Holder): void {
  holder.count -= 1;
  if (holder.count === 0) holders.delete(holder.name);
}

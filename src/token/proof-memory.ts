import { createHash } from 'node:crypto';
import { deny, type Deny } from '../decision/decision.ts';
import type { Clocks } from '../runtime/ports.ts';
import { exceededBound } from './proof-share.ts';
import type { ProofBound } from './proof-share.ts';
import type { Proof } from './proof.ts';

/** Proofs remembered at the same time, where nothing else is configured. */
export const DEFAULT_MAX_PROOFS = 100_000;

/** Whose proof it is, and when. */
export interface ProofUse {
  /** Whose share of the memory it takes: the SPIFFE ID, or issuer and client of a token from elsewhere. */
  readonly agent: string;
  /** By which the proof was verified. */
  readonly clocks: Pick<Clocks, 'wallMs' | 'floorMs'>;
}

/** Where DPoP proofs are held to one use each. */
export interface ReplayMemory {
  /**
   * Uses a verified proof up, once for every use of it: `null` the first time; `token.proof` for one that was used before or is older
   * than the memory; `token.replay-memory-full` where its key, its agent or the whole memory has no room (`exceededBound`).
   */
  use(proof: Proof, of: ProofUse): Deny | null;
}

/** Told which bound a proof was refused by. */
export type OnProofRefused = (bound: ProofBound) => void;

/** What a verified proof is refused with that cannot be remembered. */
export const replayMemoryFull = (bound: ProofBound): Deny => deny('token.replay-memory-full', fullDetails[bound]);

const fullDetails: Readonly<Record<ProofBound, string>> = {
  key: 'the key has used up its share of the replay memory',
  agent: 'the agent has used up its share of the replay memory',
  memory: 'the replay memory is full',
};

/**
 * Seconds since the Unix epoch: proofs issued before are too old by every clock, so they may be forgotten. By the earlier clock, so
 * that one that is ahead and put right again leaves no proof refused that is of now.
 */
export const forgettableBefore = ({ wallMs, floorMs }: ProofUse['clocks'], pastSeconds: number): number =>
  Math.ceil(Math.min(wallMs, floorMs) / 1000) - pastSeconds;

/** How a replay memory is bounded. */
export interface ProofMemoryOptions {
  /** For how long after its `iat` a proof is accepted and so remembered: `pastSeconds` of the `ProofRules`. */
  readonly pastSeconds: number;
  /** `DEFAULT_MAX_PROOFS` where absent. */
  readonly max?: number;
  /**
   * When the remembering began, milliseconds since the Unix epoch: a proof issued before may have been used with the
   * process before this one, and is refused. By the later of wall clock and floor.
   */
  readonly startedAtMs: number;
  readonly onRefused?: OnProofRefused;
}

/**
 * Holds each DPoP proof to one use: remembers its key and `jti` for as long as the proof would be accepted. At its bounds (`exceededBound`) it refuses what is new rather than forget what is old; a clock that steps back brings nothing back that was forgotten. It
 * is the memory of one process; `state/sqlite/proof-file.ts` is that of several.
 *
 * @see RFC 9449 section 11.1
 */
export class ProofMemory implements ReplayMemory {
  readonly #pastSeconds: number;
  readonly #max: number;
  readonly #onRefused: OnProofRefused;
  /** Seconds of `iat` that one bucket holds, so that there are about sixty of them. */
  readonly #bucketSeconds: number;
  /** By the time of `iat`: what is over goes with its bucket. */
  readonly #buckets = new Map<number, Map<string, Holders>>();
  readonly #keys = new Map<string, Holder>();
  readonly #agents = new Map<string, Holder>();
  #size = 0;
  /** Whole seconds: a proof issued before is refused, since it may have been forgotten. */
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
  use({ thumbprint, proofId, issuedAtSeconds }: Proof, { agent, clocks }: ProofUse): Deny | null {
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

  /** Refuses the proofs issued before `seconds` from now on, and forgets them as far as their bucket is over. */
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

/** How many of the proofs are of one key or agent. */
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

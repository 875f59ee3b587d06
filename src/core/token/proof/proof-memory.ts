import { createHash } from 'node:crypto';
import { deny, type Deny } from '../../decision/decision.ts';
import { laterOf } from '../../runtime/ports.ts';
import type { Clocks } from '../../runtime/ports.ts';
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
  /**
   * The verified identity of the sidecar that asks, if the memory serves sidecars. Its agents and keys are unverified, so they are
   * counted separately for each sidecar, and together against the sidecar's share.
   */
  readonly sidecar?: string;
}

/** A replay memory: enforces that each DPoP proof is used once. */
export interface ReplayMemory {
  /**
   * Uses up a verified proof. `null` on first use. Denies with `token.proof` if the proof was used before, is older than the memory or
   * is issued too far in the future, and with `token.replay-memory-full` if its key, its agent, its sidecar or the whole memory is at a
   * limit (`exceededBound`).
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

/**
 * How far in the future `iat` may be, in seconds, by the later clock of this process: the clock of the sidecar that verified the proof may
 * be ahead of it. A proof with a later `iat` would be remembered for as long as it says.
 */
const MAX_AHEAD_SECONDS = 60;

/** Longest name of a key or an agent that is kept as it is; a longer name is kept as its digest. */
const MAX_NAME = 128;

/** The limits of a `ProofMemory`. */
export interface ProofMemoryOptions {
  /** How long after its `iat` a proof is accepted, and therefore remembered: `pastSeconds` of `ProofRules`. */
  readonly pastSeconds: number;
  /** `DEFAULT_MAX_PROOFS` if absent. */
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
 * At its limits (`exceededBound`) it refuses new proofs rather than forget old proofs. Stepping the clock back does not make
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
  /** The remembered proofs. */
  readonly #known = new Map<string, Holders>();
  /** Their digests by `iat`: old proofs are dropped a bucket at a time. */
  readonly #buckets = new Map<number, string[]>();
  readonly #keys = new Map<string, Holder>();
  readonly #agents = new Map<string, Holder>();
  readonly #sidecars = new Map<string, Holder>();
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
    return this.#known.size;
  }

  /** See `ReplayMemory`. */
  use(
    { thumbprint, proofId, issuedAtSeconds }: Pick<Proof, 'thumbprint' | 'proofId' | 'issuedAtSeconds'>,
    { agent, clocks, sidecar = '' }: ProofUse,
  ): Deny | null {
    this.#sweep(forgettableBefore(clocks, this.#pastSeconds));
    if (issuedAtSeconds < this.#horizonSeconds) return deny('token.proof', 'the proof is older than the replay memory');
    if (issuedAtSeconds > laterOf(clocks) / 1000 + MAX_AHEAD_SECONDS) {
      return deny('token.proof', 'the proof is issued in the future');
    }
    const digest = digestOf(`${thumbprint}.${proofId}`);
    if (this.#known.has(digest)) return deny('token.proof', 'the proof was used before');
    const names = { key: nameOf(sidecar, thumbprint), agent: nameOf(sidecar, agent) };
    const bound = exceededBound({
      max: this.#max,
      size: this.size,
      ofKey: countIn(this.#keys, names.key),
      ofAgent: countIn(this.#agents, names.agent),
      ofSidecar: sidecar === '' ? 0 : countIn(this.#sidecars, sidecar),
    });
    if (bound === null) {
      this.#remember(digest, Math.floor(issuedAtSeconds / this.#bucketSeconds), {
        key: holderIn(this.#keys, names.key),
        agent: holderIn(this.#agents, names.agent),
        sidecar: holderIn(this.#sidecars, sidecar),
      });
      return null;
    }
    this.#onRefused(bound);
    return replayMemoryFull(bound);
  }

  #remember(digest: string, bucket: number, holders: Holders): void {
    const digests = this.#buckets.get(bucket) ?? [];
    digests.push(digest);
    this.#buckets.set(bucket, digests);
    this.#known.set(digest, holders);
    for (const holder of [holders.key, holders.agent, holders.sidecar]) holder.count += 1;
  }

  /** Raises the horizon to `seconds` and drops the buckets that end before it. */
  #sweep(seconds: number): void {
    if (seconds <= this.#horizonSeconds) return;
    this.#horizonSeconds = seconds;
    for (const [bucket, digests] of this.#buckets) {
      if ((bucket + 1) * this.#bucketSeconds > seconds) continue;
      this.#buckets.delete(bucket);
      for (const digest of digests) this.#forget(digest);
    }
  }

  #forget(digest: string): void {
    const holders = this.#known.get(digest);
    if (holders === undefined) return;
    this.#known.delete(digest);
    forgetOne(this.#keys, holders.key);
    forgetOne(this.#agents, holders.agent);
    forgetOne(this.#sidecars, holders.sidecar);
  }
}

const digestOf = (text: string): string => createHash('sha256').update(text).digest('base64url');

/** The name of a key or agent among those that a sidecar names. */
function nameOf(sidecar: string, name: string): string {
  const full = sidecar === '' ? name : `${sidecar} ${name}`;
  return full.length <= MAX_NAME ? full : digestOf(full);
}

const countIn = (holders: ReadonlyMap<string, Holder>, name: string): number => holders.get(name)?.count ?? 0;

/** Number of proofs of one key, agent or sidecar. */
interface Holder {
  readonly name: string;
  count: number;
}

interface Holders {
  readonly key: Holder;
  readonly agent: Holder;
  readonly sidecar: Holder;
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

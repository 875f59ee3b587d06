import { LRUCache } from 'lru-cache';
import { TokenBucket } from '../../core/runtime/collections/token-bucket.ts';
import { upTo } from '../../core/runtime/collections/up-to.ts';

/** Most identities whose rates are kept; the least recently seen identity is dropped and starts afresh. */
const MAX_PEERS = 4_096;

const MIB = 1_024 * 1_024;

interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

/** A rate per second, by default with a burst of four seconds. */
const rate = (perSecond: number, burst = 4 * perSecond): Rate => ({ burst, perSecond });

/** Per second, of a sidecar. */
const OF_SIDECAR = {
  /** Tokens opened. */
  opens: rate(2_048),
  pings: rate(16, 32),
  /** Messages of its stream. */
  ups: rate(1_024),
  /** Reports with their entries, but for those of the next line. */
  reports: rate(1_024),
  /** Tokens whose uses are reported. */
  tokenUses: rate(2_048),
} as const;

/** Per second, of all sidecars of an identity together. */
const OF_IDENTITY = {
  opens: rate(8_192),
  ups: rate(32_768, 65_536),
  reports: rate(4_096),
  tokenUses: rate(4_096),
  /** Uses settled, even without a stream. */
  uses: rate(8_192, 16_384),
  /** Bytes of the records that come with them. */
  recordBytes: rate(2 * MIB, 16 * MIB),
  proofs: rate(4_096),
  /** Static secrets that were seen. Their list has 10,000 entries, of all identities. */
  sightings: rate(16, 1_024),
  /** Tasks that Hello names, and Dropped. */
  claims: rate(32_768, 524_288),
} as const;

/** A rate limit: `take` returns whether the given count is allowed now, and counts it. */
export interface Allowance {
  readonly take: (count?: number) => boolean;
}

/** How much an identity may ask for. */
export type IdentityLimits = Readonly<Record<keyof typeof OF_IDENTITY, Allowance>>;

/** How much a sidecar may ask for, within the limits of its identity. */
export type ClientLimits = Readonly<Record<keyof typeof OF_SIDECAR, Allowance>>;

/**
 * The rates of all identities. An identity may name as many instances as it likes, so each rate of a sidecar also counts for its
 * identity; pings count there as `ups`.
 */
export class PeerLimits {
  readonly #monotonicMs: () => number;
  readonly #limits = new LRUCache<string, IdentityLimits>(upTo(MAX_PEERS));

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
  }

  /** The limits of an identity. */
  of(peer: string): IdentityLimits {
    const limits = this.#limits.get(peer) ?? this.#buckets(OF_IDENTITY);
    this.#limits.set(peer, limits);
    return limits;
  }

  /** The limits of another sidecar of an identity. */
  ofSidecar(peer: string): ClientLimits {
    const own = this.#buckets(OF_SIDECAR);
    const within = (name: Exclude<keyof ClientLimits, 'pings'>): Allowance => ({
      take: (count) => own[name].take(count) && this.of(peer)[name].take(count),
    });
    return {
      opens: within('opens'),
      pings: own.pings,
      ups: within('ups'),
      reports: within('reports'),
      tokenUses: within('tokenUses'),
    };
  }

  #buckets<Name extends string>(rates: Readonly<Record<Name, Rate>>): Readonly<Record<Name, Allowance>> {
    const bucketOf = (name: Name): TokenBucket => new TokenBucket({ ...rates[name], monotonicMs: this.#monotonicMs });
    // The keys of `rates`.
    const names = Object.keys(rates) as Name[];
    return Object.fromEntries<Allowance>(names.map((name) => [name, bucketOf(name)])) as Record<Name, Allowance>;
  }
}

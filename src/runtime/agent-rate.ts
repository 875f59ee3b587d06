import { LRUCache } from 'lru-cache';
import { TokenBucket, type TokenBucketOptions } from './token-bucket.ts';

/** How often each agent may ask. */
export interface AgentRateOptions {
  /** Checks a second, and as many at once after a second without one. */
  readonly perSecond: number;
  readonly monotonicMs: () => number;
  /** Agents that are counted at once, 10,000 by default; the one that has not asked for longest is forgotten first. */
  readonly maxAgents?: number;
}

/** A token bucket for each agent, so that one of them cannot spend the time that all of them share. */
export class AgentRate {
  readonly #bucket: TokenBucketOptions;
  readonly #buckets: LRUCache<string, TokenBucket>;

  constructor({ perSecond, monotonicMs, maxAgents = 10_000 }: AgentRateOptions) {
    this.#bucket = { burst: perSecond, perSecond, monotonicMs };
    this.#buckets = new LRUCache({ max: maxAgents });
  }

  /** Whether an agent may ask now; then it has. */
  take(agent: string): boolean {
    let bucket = this.#buckets.get(agent);
    if (bucket === undefined) {
      bucket = new TokenBucket(this.#bucket);
      this.#buckets.set(agent, bucket);
    }
    return bucket.take();
  }
}

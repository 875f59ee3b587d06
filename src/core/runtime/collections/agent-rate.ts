import { LRUCache } from 'lru-cache';
import { upTo } from './up-to.ts';
import { TokenBucket, type TokenBucketOptions } from './token-bucket.ts';

/** How often each agent may ask. */
export interface AgentRateOptions {
  /** Sustained checks per second. */
  readonly perSecond: number;
  /** The most that an idle agent may send at once. Default `perSecond`. */
  readonly burst?: number;
  readonly monotonicMs: () => number;
  /** Agents tracked at the same time, 10,000 by default. At the limit the least recently seen agent is dropped. */
  readonly maxAgents?: number;
}

/** A token bucket for each agent, so that no agent can use up the time that all of them share. */
export class AgentRate {
  readonly #bucket: TokenBucketOptions;
  readonly #buckets: LRUCache<string, TokenBucket>;

  constructor({ perSecond, burst = perSecond, monotonicMs, maxAgents = 10_000 }: AgentRateOptions) {
    this.#bucket = { burst, perSecond, monotonicMs };
    this.#buckets = new LRUCache(upTo(maxAgents));
  }

  /** Takes one token of the agent's bucket. Returns whether there was one. */
  take(agent: string): boolean {
    let bucket = this.#buckets.get(agent);
    if (bucket === undefined) {
      bucket = new TokenBucket(this.#bucket);
      this.#buckets.set(agent, bucket);
    }
    return bucket.take();
  }

  /** Gives a token back to the agent's bucket. */
  give(agent: string): void {
    this.#buckets.get(agent)?.give(1);
  }
}

/** How often each agent may ask. */
export interface AgentRateOptions {
  /** Checks a second, and as many at once after a second without one. */
  readonly perSecond: number;
  readonly monotonicMs: () => number;
  /** Agents that are counted at once, 10,000 by default; the one that has not asked for longest is forgotten first. */
  readonly maxAgents?: number;
}

interface Bucket {
  left: number;
  atMs: number;
}

/** A token bucket for each agent, so that one of them cannot spend the time that all of them share. */
export class AgentRate {
  readonly #options: Required<AgentRateOptions>;
  /** In the order of their last check. */
  readonly #buckets = new Map<string, Bucket>();
  /** The last of them. */
  #latest: string | null = null;

  constructor(options: AgentRateOptions) {
    this.#options = { maxAgents: 10_000, ...options };
  }

  /** Whether an agent may ask now; then it has. */
  take(agent: string): boolean {
    const { perSecond, monotonicMs, maxAgents } = this.#options;
    const nowMs = monotonicMs();
    const bucket = this.#buckets.get(agent) ?? { left: perSecond, atMs: nowMs };
    if (agent !== this.#latest) {
      this.#buckets.delete(agent);
      this.#buckets.set(agent, bucket);
      this.#latest = agent;
      if (this.#buckets.size > maxAgents) this.#forgetFirst();
    }
    bucket.left = Math.min(perSecond, bucket.left + ((nowMs - bucket.atMs) * perSecond) / 1_000);
    bucket.atMs = nowMs;
    if (bucket.left < 1) return false;
    bucket.left -= 1;
    return true;
  }

  #forgetFirst(): void {
    for (const agent of this.#buckets.keys()) {
      this.#buckets.delete(agent);
      return;
    }
  }
}

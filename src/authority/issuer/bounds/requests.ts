import type { ServerResponse } from 'node:http';
import { AgentRate } from '../../../core/runtime/collections/agent-rate.ts';
import type { After } from '../../../core/runtime/timers.ts';
import type { IssuerLimits } from '../../../core/config/issuer-limits.ts';
import type { IssuerBound, RequestKind } from './limits.ts';

/** Options of the request limits. */
export interface RequestsOptions {
  readonly limits: IssuerLimits;
  readonly monotonicMs: () => number;
  readonly after: After;
}

/** The value of `retry-after`, and the delay of a refusal, so that clients that retry at once cost little. */
const HOLD_MS = 1_000;
/** Additional delay per pending refusal of the same client, which spreads them out. */
const APART_MS = 8;

/** Concurrency and rate per client, for a kind of request. */
interface KindState {
  /** Only clients with requests under way, so it is bounded by their connections. */
  readonly inFlight: Map<string, number>;
  readonly rate: AgentRate;
}

/**
 * Limits the concurrency and the rate of each client's requests, separately for each kind. Rates are kept for the last 10,000
 * clients; an evicted client starts afresh.
 */
export class ClientRequests {
  readonly #options: RequestsOptions;
  readonly #kinds: Readonly<Record<RequestKind, KindState>>;
  /** Delayed refusals by client; bounded by connections. */
  readonly #held = new Map<string, Set<() => void>>();
  #isClosed = false;

  constructor(options: RequestsOptions) {
    this.#options = options;
    const { limits, monotonicMs } = options;
    const state = (perSecond: number): KindState => ({
      inFlight: new Map(),
      rate: new AgentRate({ perSecond, monotonicMs }),
    });
    this.#kinds = {
      ordinary: state(limits.requestsPerSecondPerClient),
      withdrawal: state(limits.withdrawalsPerSecondPerClient),
    };
  }

  /** Admits a request, for which the caller must call `leave` once it is answered. Else returns the exceeded limit. */
  enter(client: string, kind: RequestKind): IssuerBound | null {
    const { inFlight, rate } = this.#kinds[kind];
    const underWay = inFlight.get(client) ?? 0;
    if (underWay >= this.#options.limits.requestsInFlightPerClient) return 'client-requests';
    if (!rate.take(client)) return 'client-rate';
    inFlight.set(client, underWay + 1);
    return null;
  }

  /** Releases an admitted request. */
  leave(client: string, kind: RequestKind): void {
    const { inFlight } = this.#kinds[kind];
    const left = (inFlight.get(client) ?? 0) - 1;
    if (left > 0) inFlight.set(client, left);
    else inFlight.delete(client);
  }

  /** Delays a refusal: for about a second, or until the client disconnects. */
  hold(client: string, response: Pick<ServerResponse, 'once' | 'off'>): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    const held = this.#held.get(client) ?? new Set();
    this.#held.set(client, held);
    return new Promise((settle) => {
      const release = (): void => {
        cancel();
        response.off('close', release);
        held.delete(release);
        if (held.size === 0 && this.#held.get(client) === held) this.#held.delete(client);
        settle();
      };
      const cancel = this.#options.after(HOLD_MS + APART_MS * held.size, release);
      held.add(release);
      response.once('close', release);
    });
  }

  /** Releases all delayed refusals, and delays no more. */
  close(): void {
    this.#isClosed = true;
    for (const held of this.#held.values()) for (const release of held) release();
  }
}

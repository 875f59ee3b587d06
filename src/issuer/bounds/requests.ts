import type { ServerResponse } from 'node:http';
import { AgentRate } from '../../runtime/agent-rate.ts';
import type { After } from '../../runtime/timers.ts';
import type { IssuerBound, IssuerLimits, RequestKind } from './limits.ts';

/** What the requests are bounded by. */
export interface RequestsOptions {
  readonly limits: IssuerLimits;
  readonly monotonicMs: () => number;
  readonly after: After;
}

/** What `retry-after` says, and how long a refusal is held back: who loops on refusals costs little. */
const HOLD_MS = 1_000;
/** Further refusals of the same client come so much later each, so that they do not come all at once. */
const APART_MS = 8;

/** The requests under way and the rate of each client, of one kind of request. */
interface KindState {
  /** Clients with requests under way alone, of which each has a connection. */
  readonly inFlight: Map<string, number>;
  readonly rate: AgentRate;
}

/**
 * Which requests of a client are served: so many at once, and so many in a second. The two kinds are counted apart. The rates of the
 * last 10,000 clients are kept, one that is forgotten begins anew.
 */
export class ClientRequests {
  readonly #options: RequestsOptions;
  readonly #kinds: Readonly<Record<RequestKind, KindState>>;
  /** Refusals that are held back, by client; bounded by their connections. */
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

  /** Lets a request in, to be told to `leave` once it is answered; else the bound that it met. */
  enter(client: string, kind: RequestKind): IssuerBound | null {
    const { inFlight, rate } = this.#kinds[kind];
    const underWay = inFlight.get(client) ?? 0;
    if (underWay >= this.#options.limits.requestsInFlightPerClient) return 'client-requests';
    if (!rate.take(client)) return 'client-rate';
    inFlight.set(client, underWay + 1);
    return null;
  }

  /** A request that was let in has been answered. */
  leave(client: string, kind: RequestKind): void {
    const { inFlight } = this.#kinds[kind];
    const left = (inFlight.get(client) ?? 0) - 1;
    if (left > 0) inFlight.set(client, left);
    else inFlight.delete(client);
  }

  /** Waits until a refusal may be sent: about a second, or until nobody waits for it any more. */
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

  /** Holds no refusal back any more. */
  close(): void {
    this.#isClosed = true;
    for (const held of this.#held.values()) for (const release of held) release();
  }
}

import { setTimeout as delay } from 'node:timers/promises';
import type { Agent } from '../../src/dev/agent.ts';

/** A finished call, and its start and end by `performance.now`. */
export interface Call {
  readonly asks: keyof typeof paths;
  readonly startedMs: number;
  readonly endedMs: number;
  /** Status and reason, or the error instead of an answer. */
  readonly answer: string;
}

const paths = { read: '/v1/payments/p-1', list: '/v1/payments' } as const;
/** What each agent calls, over its kept-alive connection. */
const CALLERS = ['read', 'read', 'list'] as const;
/** A pause after each answer: callers without one would take the processors from what is tested. */
const PAUSE_MS = 5;

/**
 * Agents that call the payments server over kept-alive connections, each again soon after it is answered. Lifecycle: they call from the
 * start until `stop`, after which each has its answer.
 */
export class SteadyCallers {
  readonly #port: number;
  readonly #calls: Call[] = [];
  readonly #over = new AbortController();
  readonly #ended: Promise<unknown>;

  constructor(port: number, agents: readonly { readonly agent: Agent; readonly token: string }[]) {
    this.#port = port;
    this.#ended = Promise.all(
      agents.flatMap(({ agent, token }) => CALLERS.map((asks) => this.#callAgain(agent, { asks, token }))),
    );
  }

  /** The finished calls so far. */
  get calls(): readonly Call[] {
    return this.#calls;
  }

  async stop(): Promise<void> {
    this.#over.abort();
    await this.#ended;
  }

  async #callAgain(agent: Agent, { asks, token }: { asks: Call['asks']; token: string }): Promise<void> {
    while (!this.#over.signal.aborted) {
      const startedMs = performance.now();
      const answer = await answerTo(agent, { port: this.#port, path: paths[asks], token });
      this.#calls.push({ asks, startedMs, endedMs: performance.now(), answer });
      await delay(PAUSE_MS);
    }
  }
}

async function answerTo(
  agent: Agent,
  { port, path, token }: { readonly port: number; readonly path: string; readonly token: string },
): Promise<string> {
  try {
    const headers = { authorization: `Bearer ${token}` };
    const { status, body } = await agent.call(port, { host: 'payments.acme.test', path, headers });
    return status === 200 ? '200' : `${status} ${/"reason":"([\w.-]+)"/.exec(body)?.[1] ?? 'without a reason'}`;
  } catch (error) {
    return String(error);
  }
}

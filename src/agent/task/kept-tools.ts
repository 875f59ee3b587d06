import { LRUCache } from 'lru-cache';
import { upTo } from '../../core/runtime/collections/up-to.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import { after } from '../../core/runtime/timers.ts';
import type { IssuerClient } from './issuer-client.ts';
import { isIssuerProblem } from './issuer-problem.ts';
import type { ListedTools } from './listed-tools.ts';

/** Most answers kept: one for each kind of task, and each user of it. */
const MAX_KEPT = 1_024;
/** So long an answer is used: policies and catalog change rarely, and a list is asked for at the start of each session. */
const KEPT_MS = 60_000;
/** So long the issuer is not asked again after it could not answer. */
const FAILED_MS = 5_000;
/** A list waits no longer for the issuer. */
const WAIT_MS = 2_000;

interface Kept {
  readonly asked: Promise<ListedTools | null>;
  freshUntilMs: number;
}

/**
 * The tools that tasks may use, asked of the issuer and kept for a minute. Tasks with the same grant share an answer. If the issuer does not answer,
 * the answer of before is used, and without any nothing is hidden: a list is no right, and a call is decided whatever the list showed.
 */
export class KeptTools {
  readonly #kept = new LRUCache<string, Kept>(upTo(MAX_KEPT));
  /** The last answers, for when the issuer gives none. */
  readonly #last = new LRUCache<string, { readonly tools: ListedTools | null }>(upTo(MAX_KEPT));
  readonly #client: Pick<IssuerClient, 'tools'>;
  readonly #monotonicMs: Ports['monotonicMs'];

  constructor(client: Pick<IssuerClient, 'tools'>, { monotonicMs }: Pick<Ports, 'monotonicMs'>) {
    this.#client = client;
    this.#monotonicMs = monotonicMs;
  }

  /**
   * The tools of a task; `null` if nothing is to be hidden.
   *
   * @param grant the same for tasks of which the issuer would answer the same
   */
  async of(grant: string, taskId: string): Promise<ListedTools | null> {
    const known = this.#kept.get(grant);
    const kept = known !== undefined && this.#monotonicMs() < known.freshUntilMs ? known : this.#ask(grant, taskId);
    const { promise: late, resolve } = Promise.withResolvers<ListedTools | null>();
    const stop = after(WAIT_MS, () => resolve(this.#last.get(grant)?.tools ?? null));
    try {
      return await Promise.race([kept.asked, late]);
    } finally {
      stop();
    }
  }

  #ask(grant: string, taskId: string): Kept {
    const asked = this.#client.tools(taskId).then((answer) => {
      if (isIssuerProblem(answer)) {
        kept.freshUntilMs = this.#monotonicMs() + FAILED_MS;
        return this.#last.get(grant)?.tools ?? null;
      }
      this.#last.set(grant, { tools: answer });
      return answer;
    });
    const kept: Kept = { asked, freshUntilMs: this.#monotonicMs() + KEPT_MS };
    this.#kept.set(grant, kept);
    return kept;
  }
}

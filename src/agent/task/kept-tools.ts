import { LRUCache } from 'lru-cache';
import type { DenialStyle } from '../../core/action/denial-style.ts';
import { upTo } from '../../core/runtime/collections/up-to.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import { after } from '../../core/runtime/timers.ts';
import type { IssuerClient } from './issuer-client.ts';
import { isIssuerProblem } from './issuer-problem.ts';
import type { ListedTools } from './listed-tools.ts';

/** Most answers kept: one for each kind of task, and each user of it. */
const MAX_KEPT = 1_024;
/** How long an answer is used: policies and catalog change rarely, and a list is asked for at the start of each session. */
const KEPT_MS = 60_000;
/** How long the issuer is not asked again after it could not answer. */
const FAILED_MS = 5_000;
/** How long a list waits for the issuer. */
const WAIT_MS = 2_000;

/** Upstreams whose pins and denials are kept. */
const MAX_UPSTREAMS = 256;
/** Pins kept of an upstream, the last that the issuer named: more than the catalog of one server can reasonably have. */
const MAX_PINS = 8_192;

/** Whose tools they are. */
export interface ToolsOf {
  /** The upstream. */
  readonly resource: string;
  /** Equal for tasks about which the issuer gives equal answers. */
  readonly grant: string;
}

interface Kept {
  readonly asked: Promise<ListedTools | null>;
  freshUntilMs: number;
}

/**
 * The tools that tasks may use, asked of the issuer and cached for a minute. Tasks with the same grant share an answer. If the
 * issuer does not answer, the last answer is used; without any, only tools that differ from their pins are hidden. A list grants
 * nothing, since each call is decided anyway, but the description of a tool is read before any call. The pins of an upstream, and
 * how it answers denied calls, are the same for all tasks, so they are kept from the answers for any of them.
 */
export class KeptTools {
  readonly #kept = new LRUCache<string, Kept>(upTo(MAX_KEPT));
  /** The last answers, for when the issuer gives none. */
  readonly #last = new LRUCache<string, { readonly tools: ListedTools | null }>(upTo(MAX_KEPT));
  /** The pins of each upstream by the names of tools. */
  readonly #pins = new LRUCache<string, LRUCache<string, string>>(upTo(MAX_UPSTREAMS));
  /** How each upstream answers denied calls. */
  readonly #denials = new LRUCache<string, DenialStyle>(upTo(MAX_UPSTREAMS));
  readonly #client: Pick<IssuerClient, 'tools'>;
  readonly #monotonicMs: Ports['monotonicMs'];

  constructor(client: Pick<IssuerClient, 'tools'>, { monotonicMs }: Pick<Ports, 'monotonicMs'>) {
    this.#client = client;
    this.#monotonicMs = monotonicMs;
  }

  /** The tools of a task; `null` if nothing is to be hidden. */
  async of(taskId: string, whose: ToolsOf): Promise<ListedTools | null> {
    const known = this.#kept.get(whose.grant);
    const isFresh = known !== undefined && this.#monotonicMs() < known.freshUntilMs;
    const kept = isFresh ? known : this.#ask(taskId, whose);
    const { promise: late, resolve } = Promise.withResolvers<ListedTools | null>();
    const stop = after(WAIT_MS, () => resolve(this.#before(whose)));
    try {
      return await Promise.race([kept.asked, late]);
    } finally {
      stop();
    }
  }

  /** How an upstream answers denied calls; `null` if the issuer has not said it yet. */
  denialsOf(resource: string): DenialStyle | null {
    return this.#denials.get(resource) ?? null;
  }

  #ask(taskId: string, whose: ToolsOf): Kept {
    const asked = this.#client.tools(taskId).then((answer) => {
      if (isIssuerProblem(answer)) {
        kept.freshUntilMs = this.#monotonicMs() + FAILED_MS;
        return this.#before(whose);
      }
      this.#last.set(whose.grant, { tools: answer });
      this.#keepPins(whose.resource, answer);
      if (answer !== null) this.#denials.set(whose.resource, answer.denials ?? 'result');
      return answer;
    });
    const kept: Kept = { asked, freshUntilMs: this.#monotonicMs() + KEPT_MS };
    this.#kept.set(whose.grant, kept);
    return kept;
  }

  /** What is shown while the issuer does not answer. */
  #before({ grant, resource }: ToolsOf): ListedTools | null {
    const last = this.#last.get(grant);
    if (last !== undefined) return last.tools;
    const pins = this.#pins.get(resource);
    if (pins === undefined || pins.size === 0) return null;
    const shown = new Map(Array.from(pins.entries(), ([name, pin]) => [name, { limits: null, pin }] as const));
    return { shown, hidden: new Set() };
  }

  /** Keeps the pins of an answer, beside those of tools that its task may not use. Without tools nothing of the upstream is hidden any more. */
  #keepPins(resource: string, answer: ListedTools | null): void {
    if (answer === null) return void this.#pins.delete(resource);
    const pins = this.#pins.get(resource) ?? new LRUCache<string, string>(upTo(MAX_PINS));
    for (const [name, { pin }] of answer.shown) {
      if (pin === undefined) pins.delete(name);
      else pins.set(name, pin);
    }
    this.#pins.set(resource, pins);
  }
}

import { isDeny } from '../../core/decision/decision.ts';
import { spiffeIdFrom } from '../../core/identity/spiffe-id.ts';
import type { PolicySet } from '../../core/policy/loading/load.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { AuthorizationDetail } from '../../core/token/authorization-details.ts';
import { rehearse } from '../policy/cases/rehearse.ts';
import { plainCircumstances, plainTask } from '../policy/cases/test-case.ts';
import type { CaseCircumstances } from '../policy/cases/test-case.ts';
import type { LearntCall } from './learnt-call.ts';
import { recordedAttempt } from './recorded-attempt.ts';
import { RememberedAnswers } from './remembered-answers.ts';
import { seenAgain } from './sightings.ts';
import type { Sightings } from './sightings.ts';

/** What the learnt set decides of a call; `null` reason if it allows it. */
export interface JudgedCall {
  readonly reason: string | null;
  /** The id of the action, or the call as text if it has no action. */
  readonly what: string;
}

/** Calls that would be denied, alike in agent, reason and action. */
export interface DeniedCalls {
  readonly agent: string;
  readonly reason: string;
  readonly what: string;
  readonly seen: Sightings;
}

/** Most groups of denied calls; calls of further groups are counted, but not listed. */
const MAX_GROUPS = 1_000;
/** Most characters of the text of a call that has no action. */
const MAX_WHAT = 512;

/** Decides recorded calls by a learnt policy set and the learnt intents, with the engine in use. */
export class CallJudge {
  calls = 0;
  allowed = 0;
  readonly #set: PolicySet;
  readonly #arePlain: boolean;
  readonly #intents: ReadonlyMap<string, readonly AuthorizationDetail[]>;
  readonly #memory = new RememberedAnswers<JudgedCall>();
  readonly #denied = new Map<string, DeniedCalls>();

  /**
   * @param intents what the intent of each agent grants
   * @param arePlain whether all policies are learnt, and so read no value of a path
   */
  constructor(set: PolicySet, intents: ReadonlyMap<string, readonly AuthorizationDetail[]>, arePlain = false) {
    this.#set = set;
    this.#intents = intents;
    this.#arePlain = arePlain;
  }

  add(call: LearntCall): JudgedCall {
    const { agent, at, method, host, shape, action, args } = call;
    const key = JSON.stringify([agent, method, host, this.#placeOf(call), shape, action, args]);
    const judged = this.#memory.of(key, () => this.#judged(call));
    this.calls += 1;
    if (judged.reason === null) this.allowed += 1;
    else this.#note({ agent, reason: judged.reason, what: judged.what }, at);
    return judged;
  }

  /** What would be denied, most often first; at most 1,000 groups. */
  get denied(): readonly DeniedCalls[] {
    return [...this.#denied.values()].toSorted((one, other) => other.seen.count - one.seen.count);
  }

  /** The id of the action that a path matches, if no policy can read the values in the path; otherwise the path. */
  #placeOf({ host, method, path }: LearntCall): string {
    if (!this.#arePlain) return path;
    const { catalog } = this.#set;
    const segments = path.slice(1).split('/');
    const found = catalog.serverAt(host, segments);
    const target = found.kind === 'server' ? catalog.find(found.server, method, segments) : undefined;
    return target?.kind === 'http' && !path.includes('%') ? target.action.id : path;
  }

  #note(of: Omit<DeniedCalls, 'seen'>, atMs: number): void {
    const key = JSON.stringify([of.agent, of.reason, of.what]);
    const known = this.#denied.get(key);
    if (known === undefined && this.#denied.size >= MAX_GROUPS) return;
    this.#denied.set(key, { ...of, seen: seenAgain(known?.seen, atMs) });
  }

  #judged(call: LearntCall): JudgedCall {
    const what = `${call.method} ${call.host}${call.path}`.slice(0, MAX_WHAT);
    const agent = spiffeIdFrom(call.agent);
    if (isDeny(agent)) return { reason: agent.reason, what };
    const attempt = recordedAttempt(call, this.#set.catalog);
    const plain = plainCircumstances(agent);
    const granted: CaseCircumstances = {
      ...plain,
      task: { ...plainTask, details: this.#intents.get(call.agent) ?? [] },
    };
    // First by the policies alone, so that the reason says what is missing.
    for (const circumstances of [plain, granted]) {
      const rehearsal = rehearse(attempt, circumstances, this.#set);
      if (isProblem(rehearsal)) return { reason: 'action.unknown', what };
      const { decision, target } = rehearsal;
      if (isDeny(decision)) return { reason: decision.reason, what: target?.action.id ?? what };
    }
    return { reason: null, what };
  }
}

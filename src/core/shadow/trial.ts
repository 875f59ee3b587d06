import { actionFrom } from '../action/action.ts';
import { decide } from '../decide/decide.ts';
import type { CallFacts } from '../decide/facts.ts';
import { isDeny } from '../decision/decision.ts';
import type { Decision, Deny } from '../decision/decision.ts';
import type { ReasonCode } from '../decision/reasons.ts';
import { authorize } from '../policy/authorize.ts';
import type { PolicySet } from '../policy/loading/load.ts';
import { agentOf, useQuestion } from '../policy/use-question.ts';
import type { Question } from '../policy/question.ts';
import type { CounterSeries } from '../telemetry/metrics/counter.ts';
import type { FinishedCheck } from '../telemetry/finished-check.ts';
import type { MetricFamilies } from '../telemetry/metrics/metrics.ts';
import type { BindingMode } from '../token/proof/binding.ts';
import { differenceOf, isOfPolicies } from './difference.ts';
import type { Difference, DifferenceExample, DifferenceGroup, Otherwise, TrialSource } from './difference.ts';
import { Groups } from './groups.ts';

/** The dependencies of a trial. */
export interface TrialParts {
  readonly binding: BindingMode;
  readonly live: () => PolicySet | Deny;
  /** `null` if no set is on trial, or it could not be loaded. */
  readonly candidate: () => PolicySet | null;
  readonly metrics: Pick<MetricFamilies, 'policyTrials' | 'policyTrialDifferences' | 'policyTrialsSkipped'>;
  /** Runs something after the work that is due now. */
  readonly defer: (run: () => void) => void;
}

/** The result of a trial since the last change of either set. */
export interface TrialReport {
  /** Hash of the set in force; `null` without a set. */
  readonly live: string | null;
  readonly candidate: string | null;
  /** Ids of the policies in shadow. */
  readonly shadow: readonly string[];
  readonly compared: number;
  readonly skipped: number;
  readonly groups: readonly DifferenceGroup[];
  /** Differences beyond the kept groups. */
  readonly ungrouped: number;
}

const MAX_WAITING = 1000;
/** How long answers of shadow policies are cached. They affect counts only. */
const KEPT_MS = 10_000;

/**
 * Evaluates policies on trial: a candidate set, and shadow policies. Decisions are compared after they were answered, one at a time,
 * so that no check waits for a trial; beyond 1,000 waiting decisions the rest is skipped and counted. A trial never
 * changes a decision.
 */
export class Trial {
  readonly #parts: TrialParts;
  readonly #differences = new Groups<Difference, DifferenceExample>();
  readonly #waiting: (() => void)[] = [];
  readonly #shadowTrials: CounterSeries;
  #sets = '';
  #compared = 0;
  #skipped = 0;

  constructor(parts: TrialParts) {
    this.#parts = parts;
    this.#shadowTrials = parts.metrics.policyTrials.of({ source: 'shadow' });
  }

  /** Called after each check. */
  readonly checked = (check: FinishedCheck): void => {
    const { decided, facts, policySet, decisionId } = check;
    const live = this.#parts.live();
    // A check of the previous set, or a check that no policy would change.
    if (isDeny(live) || live.hash !== policySet || !isOfPolicies(reasonOf(decided))) return;
    if (this.#parts.candidate() === null && live.shadowIds.length === 0) return;
    this.#noteSets(live);
    const question = live.shadowIds.length === 0 ? null : questionOf(facts, this.#parts.binding, live);
    if (this.#parts.candidate() === null && (question === null || !live.shadow.canMatch(question))) {
      // No policy can match, so the result is known at once.
      this.#compared += 1;
      if (question !== null) this.#shadowTrials.inc();
      return;
    }
    this.#later(() => {
      this.#compared += 1;
      const at = { decisionId, atMs: facts.nowMs };
      const candidate = this.#candidateBeside(live);
      if (candidate !== null)
        this.#compare('candidate', { about: aboutUse(facts), decided, at }, this.#decided(facts, candidate));
      if (question !== null) this.#shadow(live, { about: aboutUse(facts), decided, at }, question);
    });
  };

  /** Called after each decision about issuing a token. */
  readonly granted = (question: Question, decided: Decision, atMs: number): void => {
    const live = this.#parts.live();
    if (isDeny(live) || !isOfPolicies(reasonOf(decided))) return;
    if (this.#parts.candidate() === null && live.shadowIds.length === 0) return;
    this.#noteSets(live);
    this.#later(() => {
      this.#compared += 1;
      const made = { about: aboutIssue(question), decided, at: { decisionId: null, atMs } };
      const candidate = this.#candidateBeside(live);
      if (candidate !== null) {
        const asked = question.inTermsOf?.(candidate.catalog) ?? question;
        this.#compare('candidate', made, authorize(candidate, asked));
      }
      if (live.shadowIds.length > 0) this.#shadow(live, made, question);
    });
  };

  report(): TrialReport {
    const live = this.#parts.live();
    return {
      live: isDeny(live) ? null : live.hash,
      candidate: this.#parts.candidate()?.hash ?? null,
      shadow: isDeny(live) ? [] : live.shadowIds,
      compared: this.#compared,
      skipped: this.#skipped,
      ...this.#differences.list(),
    };
  }

  #later(run: () => void): void {
    if (this.#waiting.length >= MAX_WAITING) {
      this.#skipped += 1;
      this.#parts.metrics.policyTrialsSkipped.of({}).inc();
      return;
    }
    this.#waiting.push(run);
    if (this.#waiting.length === 1) this.#parts.defer(this.#next);
  }

  readonly #next = (): void => {
    this.#waiting[0]?.();
    this.#waiting.shift();
    if (this.#waiting.length > 0) this.#parts.defer(this.#next);
  };

  /** Resets the counts when a set has changed. */
  #noteSets(live: PolicySet): void {
    const sets = `${live.hash} ${this.#parts.candidate()?.hash ?? ''}`;
    if (sets === this.#sets) return;
    this.#sets = sets;
    this.#differences.clear();
    this.#compared = 0;
    this.#skipped = 0;
  }

  /** The candidate, unless it equals the set in force. */
  #candidateBeside(live: PolicySet): PolicySet | null {
    const candidate = this.#parts.candidate();
    return candidate === null || candidate.hash === live.hash ? null : candidate;
  }

  /** The candidate's decision, with its own catalog. */
  #decided(facts: CallFacts, candidate: PolicySet): Decision {
    const prior = isDeny(facts.action) ? undefined : facts.action.continues?.calls;
    const action = isDeny(facts.call) ? facts.call : actionFrom(facts.call, candidate.catalog, prior);
    return decide({ ...facts, action }, { binding: this.#parts.binding, policies: candidate });
  }

  #compare(source: TrialSource, made: Made, other: Decision): void {
    this.#parts.metrics.policyTrials.of({ source }).inc();
    const difference = differenceOf(made.decided, other);
    const change = difference?.change ?? 'other-reason';
    // Another reason alone makes no difference for the caller.
    if (difference !== null && change !== 'other-reason') this.#count(source, made, { ...difference, change });
  }

  /** Each shadow policy by itself, as if it alone were enforced in addition. */
  #shadow(live: PolicySet, made: Made, question: Question): void {
    const { decided, at } = made;
    const keep = { nowMs: at.atMs, untilMs: at.atMs + KEPT_MS, onCache: () => undefined };
    const { permits, forbids, errors } = live.shadow.ask(question, keep);
    const denies = [...forbids, ...errors].toSorted();
    this.#shadowTrials.inc();
    const reason = reasonOf(decided);
    const change = reason === null ? 'allow-to-deny' : 'deny-to-allow';
    const otherwise = reason === null ? 'policy.forbidden' : null;
    const changing = reason === null ? denies : reason === 'policy.not-permitted' ? permits : [];
    for (const id of changing) {
      this.#count('shadow', made, { change, reason, otherwise, formerIds: decided.policyIds, policyIds: [id] });
    }
  }

  #count(source: TrialSource, { about, at }: Made, otherwise: Turned): void {
    this.#differences.add({ source, ...about, ...otherwise }, at);
    const { change } = otherwise;
    this.#parts.metrics.policyTrialDifferences.of({ source, change, action: about.action }).inc();
  }
}

/** An actual decision, as far as it is compared. */
interface Made {
  readonly about: Pick<Difference, 'action' | 'agent' | 'intent'>;
  readonly decided: Decision;
  readonly at: DifferenceExample;
}

/** A difference that matters to the caller. */
interface Turned extends Otherwise {
  readonly change: 'allow-to-deny' | 'deny-to-allow';
}

const reasonOf = (decided: Decision): ReasonCode | null => (isDeny(decided) ? decided.reason : null);

const aboutUse = ({ action, caller, credential, task }: CallFacts): Made['about'] => ({
  action: isDeny(action) ? 'none' : action.id,
  agent: isDeny(caller) ? '' : isDeny(credential) ? caller.id : agentOf({ caller, credential }),
  intent: task === undefined || isDeny(task) ? '' : task.purpose,
});

function aboutIssue({ principal, context }: Question): Made['about'] {
  const { intent } = context;
  const purpose = typeof intent === 'object' && 'purpose' in intent ? intent['purpose'] : '';
  return { action: 'issue', agent: principal, intent: typeof purpose === 'string' ? purpose : '' };
}

/** The question to the policies; `null` if the call was decided earlier. */
function questionOf(facts: CallFacts, binding: BindingMode, { catalog }: PolicySet): Question | null {
  const { call, caller, credential, action, task } = facts;
  if (isDeny(call) || isDeny(caller) || isDeny(credential) || isDeny(action) || isDeny(task)) return null;
  const { history, use, reuse, nowMs } = facts;
  const asked = { call, caller, credential, task: task ?? null, history, action, binding, use, reuse, nowMs };
  return useQuestion(asked, catalog);
}

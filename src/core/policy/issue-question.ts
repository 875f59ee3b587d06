import type { Risk, Server } from '../action/catalog/catalog.ts';
import { TEN_THOUSANDTHS } from '../action/budget/decimal.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import type { CauseKind } from '../task/cause.ts';
import { noAttributes } from '../task/subject-attributes.ts';
import type { SubjectAttributes } from '../task/subject-attributes.ts';
import type { Task } from '../task/task.ts';
import type { Constraints } from '../token/authorization-details.ts';
import type { CedarRecord } from './cedar-value.ts';
import { MAX_INSTANT_MS, attestedOf, claimedOf, datetime, distinct } from './context-values.ts';
import type { AttestedValue } from './context-values.ts';
import type { Question, Terms } from './question.ts';
import { termsOf } from './terms.ts';

/** The origin of a sub-task. */
export interface Delegation {
  /** The delegating agent. */
  readonly parent: SpiffeId;
  /** Number of delegations up to here. */
  readonly depth: number;
  /** Attested values of its ancestor tasks, without its own. */
  readonly attested: readonly AttestedValue[];
}

/** The stop of similar tasks of the agent; of several, the stop that lasts longest. */
export interface StopFacts {
  readonly cause: CauseKind;
  /** Whether the task is still suspended. */
  readonly isSuspended: boolean;
  /** Since the task ended, or was suspended; at least 0. */
  readonly secondsSince: number;
}

/** The facts about a token request. */
export interface IssueFacts {
  readonly agent: SpiffeId;
  readonly server: Server;
  readonly purpose: string;
  /** All actions of the intent, families (`payments.*`) included. */
  readonly actions: readonly string[];
  /**
   * The action the question is about, with the constraints of its entry. An intent is granted only if each of its actions is, in each of
   * its entries.
   */
  readonly requested: { readonly action: string; readonly risk: Risk; readonly constraints: Constraints };
  /** Lifetime of the requested token. */
  readonly ttlSeconds: number;
  /** Lifetime of its task, from its declaration to its deadline, in whole seconds: until then the agent gets further tokens. */
  readonly taskSeconds: number;
  /** The subject: a user, or by default the agent itself. */
  readonly subject?: string;
  /** Who acts for the subject, the agent first; empty if the agent is the subject. */
  readonly actors?: readonly string[];
  /** Risk of the task, which signals can raise. Default `low`. */
  readonly risk?: Risk;
  /** Values the agent claims. Default none. */
  readonly claimed?: Task['claimed'];
  /** Values that others attest. Default none, as for a task that does not exist yet. */
  readonly attested?: readonly AttestedValue[];
  /** Attributes of the subject from its subject token. Default none. */
  readonly subjectAttributes?: SubjectAttributes;
  /** The delegation; absent for a root task. */
  readonly delegation?: Delegation | undefined;
  /** Absent if no similar task of the agent was stopped within a day. */
  readonly stopped?: StopFacts | undefined;
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
}

/** The question whether a task token may be issued for one action of an intent. */
export const issueQuestion = (facts: IssueFacts, terms: Terms): Question => ({
  principal: facts.agent,
  action: 'issue',
  server: facts.server,
  endpoint: null,
  context: {
    intent: { purpose: facts.purpose, actions: distinct(facts.actions) },
    requested: requestedOf(facts.requested),
    ttlSeconds: facts.ttlSeconds,
    taskSeconds: facts.taskSeconds,
    claimed: claimedOf(facts.claimed ?? {}),
    attested: attestedOf(facts.attested ?? []),
    subject: facts.subject ?? facts.agent,
    actors: distinct(facts.actors ?? []),
    risk: facts.risk ?? 'low',
    ...(facts.delegation === undefined ? {} : { delegation: delegationOf(facts.delegation) }),
    ...(facts.stopped === undefined ? {} : { stopped: stoppedOf(facts.stopped) }),
    now: datetime(facts.nowMs),
    ...termsOf(terms, { nowMs: facts.nowMs, subjectAttributes: facts.subjectAttributes ?? noAttributes }),
  },
  inTermsOf: (others) => issueQuestion(facts, others),
});

const requestedOf = ({ action, risk, constraints }: IssueFacts['requested']): CedarRecord => ({
  action,
  risk,
  constraints: constraintsOf(constraints),
});

/** An absent limit is an absent member, so that no policy mistakes it for a limit. */
const constraintsOf = ({ maxCalls, maxAmount, singleUse, notBeforeMs, notAfterMs }: Constraints): CedarRecord => ({
  singleUse,
  ...(maxCalls === null ? {} : { maxCalls }),
  ...(maxAmount === null ? {} : { maxAmount: amountOf(maxAmount) }),
  ...(notBeforeMs === null ? {} : { notBefore: datetime(Math.min(notBeforeMs, MAX_INSTANT_MS)) }),
  ...(notAfterMs === null ? {} : { notAfter: datetime(Math.min(notAfterMs, MAX_INSTANT_MS)) }),
});

/** A decimal limit is rounded up to a whole number: a policy that says "at most 500" must not be passed by 500.01. */
const amountOf = ({ argument, limit, isDecimal, currency }: NonNullable<Constraints['maxAmount']>): CedarRecord => ({
  argument,
  limit: isDecimal === true ? Math.ceil(limit / TEN_THOUSANDTHS) : limit,
  ...(currency === null ? {} : { currency: { argument: currency.argument, value: currency.value } }),
});

const delegationOf = ({ parent, depth, attested }: Delegation): CedarRecord => ({
  parent,
  depth,
  attested: attestedOf(attested),
});

const stoppedOf = ({ cause, isSuspended, secondsSince }: StopFacts): CedarRecord => ({
  cause,
  suspended: isSuspended,
  secondsSince,
});

import type { HttpCall } from '../action/call.ts';
import type { Catalog, Risk, Server } from '../action/catalog.ts';
import type { Action, ArgumentValue } from '../action/http.ts';
import type { Caller } from '../identity/caller.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import type { Attestation } from '../task/attestation.ts';
import type { TaskHistory } from '../task/history.ts';
import { noAttributes } from '../task/subject-attributes.ts';
import type { SubjectAttributes } from '../task/subject-attributes.ts';
import type { Task } from '../task/task.ts';
import type { Constraints } from '../token/authorization-details.ts';
import type { BindingMode } from '../token/binding.ts';
import type { Credential } from '../token/credential.ts';
import type { CedarRecord, CedarValue } from './cedar-value.ts';
import type { ContextPath } from './answers/split-by-volatility.ts';
import { localTimes } from './local-time.ts';
import { isPlainValue } from './plain-value.ts';

export type { CedarRecord, CedarValue } from './cedar-value.ts';

/** What the policies are asked: may this agent do this, there, under these circumstances? */
export interface Question {
  readonly principal: SpiffeId;
  /** An action of the catalog, or `issue`. */
  readonly action: string;
  readonly server: Server;
  /** `GET /v1/payments/{id}`; `null` where the question is about the server itself. */
  readonly endpoint: string | null;
  /** Valid by the generated schema, by construction. */
  readonly context: CedarRecord;
  /** A member of the context by its name; where it is there, `context` as a whole need not be made to look at one. */
  part?(name: string): CedarValue | undefined;
  /** Whether the engine takes the context for certain, as `isPlainValue` says of it; told without making it. */
  isPlain?(): boolean;
  /** The same question with what another catalog names in the context; absent where that is nothing. */
  inTermsOf?(terms: Terms): Question;
}

/** What a catalog adds to the context of every question, beside the arguments of its actions. */
export type Terms = Pick<Catalog, 'timeZones' | 'subjectAttributes'>;

/** What is known about one use of a credential. */
export interface UseFacts {
  readonly call: Pick<HttpCall, 'method' | 'host' | 'path'>;
  readonly caller: Pick<Caller, 'id'>;
  readonly credential: Credential;
  /** `null` where the credential is of no task. */
  readonly task: Pick<Task, 'purpose' | 'createdAtMs' | 'risk' | 'claimed' | 'attested' | 'subjectAttributes'> | null;
  /** What the task was allowed before this use; empty where there is none. */
  readonly history: TaskHistory;
  readonly action: Action;
  readonly binding: BindingMode;
  /** Which use of its token this is, from 1; 0 without a token. */
  readonly use: number;
  /** What this use is against those that were allowed before; empty without a token. */
  readonly reuse: readonly string[];
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
}

/**
 * The question whether one call may pass. Without a task the intent is empty: no purpose, no actions, and whatever a policy
 * asks of an intent does not hold.
 */
export const useQuestion = (facts: UseFacts, terms: Terms): Question => new UseQuestion(facts, terms);

/** The members of the context of a use. */
const useParts: ReadonlyMap<string, (facts: UseFacts) => CedarValue> = new Map<string, (facts: UseFacts) => CedarValue>(
  [
    ['intent', intentOf],
    ['subject', ({ caller, credential }) => (credential.kind === 'workload-identity' ? caller.id : credential.subject)],
    ['actors', ({ credential }) => (credential.kind === 'task-token' ? distinct(credential.actors) : [])],
    ['credential', credentialOf],
    ['request', ({ call: { method, host, path } }) => ({ method, host, path })],
    ['claimed', ({ task }) => claimedOf(task?.claimed ?? {})],
    ['attested', ({ task }) => attestedOf(task?.attested ?? [])],
    ['task', ({ history: { actions, labels } }) => ({ actions, labels })],
    ['labels', ({ action }) => distinct([...action.labels])],
    // The level that signals have raised the task to.
    ['risk', ({ task }) => task?.risk ?? 'low'],
    ['now', ({ nowMs }) => datetime(nowMs)],
    ['args', ({ action }) => argsOf(action.args)],
  ],
);

/** What of the context is seldom the same in two calls. Nothing but the cost of an answer depends on it. */
export const PER_CALL: readonly ContextPath[] = [
  ['args'],
  ['request'],
  ['now'],
  ['intent', 'ageSeconds'],
  ['credential', 'secondsLeft'],
  ['credential', 'uses'],
];

/** Makes of the context what is looked at: policies mostly look at little, and answers mostly come from the cache. */
class UseQuestion implements Question {
  readonly principal: SpiffeId;
  readonly action: string;
  readonly server: Server;
  readonly endpoint: string;
  readonly #facts: UseFacts;
  readonly #terms: Terms;

  constructor(facts: UseFacts, terms: Terms) {
    this.principal = agentOf(facts);
    this.action = facts.action.id;
    this.server = facts.action.server;
    this.endpoint = facts.action.endpoint;
    this.#facts = facts;
    this.#terms = terms;
  }

  get context(): CedarRecord {
    const own = Array.from(useParts, ([name, partOf]) => [name, partOf(this.#facts)] as const);
    return { ...Object.fromEntries(own), ...termsOf(this.#terms, termFactsOf(this.#facts)) };
  }

  part(name: string): CedarValue | undefined {
    const partOf = useParts.get(name);
    return partOf === undefined ? termParts.get(name)?.(this.#terms, termFactsOf(this.#facts)) : partOf(this.#facts);
  }

  isPlain(): boolean {
    const { call, caller, credential, task, history, action, use, nowMs } = this.#facts;
    return (
      isPlainText(call.method) &&
      isPlainText(call.host) &&
      isPlainText(call.path) &&
      isPlainText(caller.id) &&
      (task === null || isKnownPlain(task, isPlainTask)) &&
      isKnownPlain(history, isPlainHistory) &&
      isKnownPlain(action.labels, areTexts) &&
      isKnownPlain(credential, isPlainCredential) &&
      isPlainClock(nowMs) &&
      Number.isSafeInteger(wholeSeconds(nowMs - (task?.createdAtMs ?? 0))) &&
      Number.isSafeInteger(use) &&
      arePlainArguments(action.args)
    );
  }
}

/** What a catalog adds to the context is of this. */
interface TermFacts {
  readonly nowMs: number;
  readonly subjectAttributes: SubjectAttributes;
}

/** What a catalog adds to the context: of what it does not name nothing, so that no policy reads what is not in the schema. */
const termParts = new Map<string, (terms: Terms, facts: TermFacts) => CedarValue | undefined>([
  ['time', ({ timeZones }, { nowMs }) => (timeZones.size === 0 ? undefined : localTimes(timeZones, nowMs))],
  [
    'subjectAttributes',
    ({ subjectAttributes: declared }, { subjectAttributes: known }) =>
      declared.size === 0
        ? undefined
        : Object.fromEntries(Object.entries(known).filter(([name]) => declared.has(name))),
  ],
]);

const termsOf = (terms: Terms, facts: TermFacts): CedarRecord =>
  Object.fromEntries(
    Array.from(termParts).flatMap(([name, partOf]) => {
      const value = partOf(terms, facts);
      return value === undefined ? [] : [[name, value] as const];
    }),
  );

const termFactsOf = ({ nowMs, task }: UseFacts): TermFacts => ({
  nowMs,
  subjectAttributes: task?.subjectAttributes ?? noAttributes,
});

/** As `Object.fromEntries` does, which takes several times as long. A catalog may name an argument `__proto__`. */
function argsOf(args: Action['args']): CedarRecord {
  const record: Record<string, CedarValue> = {};
  for (const [name, value] of args) {
    if (name === '__proto__') return Object.fromEntries(Array.from(args, ([one, of]) => [one, cedarValueOf(of)]));
    record[name] = cedarValueOf(value);
  }
  return record;
}

function arePlainArguments(args: Action['args']): boolean {
  for (const [name, value] of args) {
    if (!isPlainText(name) || name.startsWith('__') || !isPlainValue(cedarValueOf(value))) return false;
  }
  return true;
}

/** Values that never change and come again and again: the same token, task and history, one use after the other. */
const knownPlain = new WeakSet<object>();

function isKnownPlain<T extends object>(value: T, isPlain: (value: T) => boolean): boolean {
  if (knownPlain.has(value)) return true;
  const isSo = isPlain(value);
  if (isSo) knownPlain.add(value);
  return isSo;
}

const isPlainTask = (task: NonNullable<UseFacts['task']>): boolean => {
  const { purpose, claimed, attested, createdAtMs, subjectAttributes } = task;
  return (
    isPlainText(purpose) &&
    Number.isFinite(createdAtMs) &&
    Object.entries(claimed).every(areTexts) &&
    attested.every(({ name, value, by }) => areTexts([name, value, by])) &&
    isPlainValue(subjectAttributes)
  );
};

const isPlainHistory = ({ actions, labels }: TaskHistory): boolean => areTexts(actions) && areTexts(labels);

const isPlainText = (text: string): boolean => text.isWellFormed();

function areTexts(texts: Iterable<string>): boolean {
  for (const text of texts) if (!text.isWellFormed()) return false;
  return true;
}

function isPlainCredential(credential: Credential): boolean {
  if (credential.kind === 'workload-identity') return true;
  if (!areTexts(credential.scope) || !isPlainText(credential.subject)) return false;
  if (!Number.isSafeInteger(credential.expiresAtSeconds)) return false;
  if (credential.kind !== 'task-token') return true;
  return areTexts(credential.actors) && credential.details.every(({ actions }) => areTexts(actions));
}

/** Only what was read as a decimal becomes one: no argument is an object that the caller shaped. */
const cedarValueOf = (value: ArgumentValue): CedarValue =>
  typeof value === 'object' && 'decimal' in value
    ? { __extn: { fn: 'decimal', arg: value.decimal } }
    : typeof value === 'object'
      ? distinct(value)
      : value;

/** Who acts: the agent a task token was issued to, which is the caller except where a hop ends TLS; else the caller. */
export const agentOf = ({ caller, credential }: Pick<UseFacts, 'caller' | 'credential'>): SpiffeId =>
  credential.kind === 'task-token' ? credential.clientId : caller.id;

function intentOf({ credential, task, nowMs }: UseFacts): CedarRecord {
  const details = credential.kind === 'task-token' ? credential.details : [];
  return {
    purpose: task?.purpose ?? '',
    actions: distinct(details.flatMap((detail) => detail.actions)),
    ageSeconds: task === null ? 0 : Math.max(0, wholeSeconds(nowMs - task.createdAtMs)),
  };
}

function credentialOf({ credential, binding, use, reuse, nowMs }: UseFacts): CedarRecord {
  if (credential.kind === 'workload-identity') {
    return { kind: credential.kind, binding: 'none', scope: [], secondsLeft: 0, uses: 0, reuse: [] };
  }
  return {
    kind: credential.kind,
    binding: credential.confirmation === null ? 'none' : credential.confirmation.kind === 'jkt' ? 'dpop' : binding,
    scope: distinct(credential.scope),
    secondsLeft: Math.max(0, credential.expiresAtSeconds - wholeSeconds(nowMs)),
    uses: use,
    reuse: distinct(reuse),
  };
}

/** The agent's own word as `name=value`, since Cedar has no records of names that a schema does not know. No name has a `=`. */
const claimedOf = (claimed: Task['claimed']): readonly string[] =>
  distinct(Object.entries(claimed).map(([name, value]) => `${name}=${value}`));

/** A value of what is attested: of another type than what is claimed, so that no policy takes one for the other. */
export type AttestedValue = Pick<Attestation, 'name' | 'value' | 'by'>;

const attestedOf = (attested: readonly AttestedValue[]): readonly CedarRecord[] =>
  attested.map(({ name, value, by }) => ({ name, value, by }));

/** Where a part of a task comes from. */
export interface Delegation {
  /** The agent that hands it on. */
  readonly parent: SpiffeId;
  /** How many hands it has been through. */
  readonly depth: number;
  /** What is attested of the tasks it is a part of, and not of itself. */
  readonly attested: readonly AttestedValue[];
}

/** What is known when a token is asked for. */
export interface IssueFacts {
  readonly agent: SpiffeId;
  readonly server: Server;
  readonly purpose: string;
  /** Every action of the intent, families (`payments.*`) included. */
  readonly actions: readonly string[];
  /**
   * The one action the question is about, with the constraints of the entry that it is asked for in; an intent is granted only where
   * each of its actions is, in each of its entries.
   */
  readonly requested: { readonly action: string; readonly risk: Risk; readonly constraints: Constraints };
  readonly ttlSeconds: number;
  /** On whose behalf: a user, or the agent itself, which is the default. */
  readonly subject?: string;
  /** Who acts for the subject, the agent first; none where it is the subject. */
  readonly actors?: readonly string[];
  /** The level that signals have raised the task to. Default `low`. */
  readonly risk?: Risk;
  /** What the agent says of itself. Default nothing. */
  readonly claimed?: Task['claimed'];
  /** What others vouch for. Default nothing, as of every task that is not there yet. */
  readonly attested?: readonly AttestedValue[];
  /** What the issuer of its subject token says of the subject. Default nothing. */
  readonly subjectAttributes?: SubjectAttributes;
  /** Who hands a part of its task to the agent; absent for a task of its own. */
  readonly delegation?: Delegation | undefined;
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
    claimed: claimedOf(facts.claimed ?? {}),
    attested: attestedOf(facts.attested ?? []),
    subject: facts.subject ?? facts.agent,
    actors: distinct(facts.actors ?? []),
    risk: facts.risk ?? 'low',
    ...(facts.delegation === undefined ? {} : { delegation: delegationOf(facts.delegation) }),
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

/** What is not limited is not there, so that no policy takes the lack of a limit for one. */
const constraintsOf = ({ maxCalls, maxAmount, singleUse, notBeforeMs, notAfterMs }: Constraints): CedarRecord => ({
  singleUse,
  ...(maxCalls === null ? {} : { maxCalls }),
  ...(maxAmount === null ? {} : { maxAmount: amountOf(maxAmount) }),
  ...(notBeforeMs === null ? {} : { notBefore: datetime(Math.min(notBeforeMs, MAX_INSTANT_MS)) }),
  ...(notAfterMs === null ? {} : { notAfter: datetime(Math.min(notAfterMs, MAX_INSTANT_MS)) }),
});

const amountOf = ({ argument, limit, currency }: NonNullable<Constraints['maxAmount']>): CedarRecord => ({
  argument,
  limit,
  ...(currency === null ? {} : { currency: { argument: currency.argument, value: currency.value } }),
});

const delegationOf = ({ parent, depth, attested }: Delegation): CedarRecord => ({
  parent,
  depth,
  attested: attestedOf(attested),
});

const wholeSeconds = (ms: number): number => Math.floor(ms / 1000);

const distinct = (values: readonly string[]): readonly string[] =>
  values.length < 2 ? values : [...new Set(values)].sort();

/** The instants that Cedar reads: those whose year has four digits, in every time zone. */
const isPlainClock = (ms: number): boolean => ms >= MIN_INSTANT_MS && ms <= MAX_INSTANT_MS;

const MIN_INSTANT_MS = Date.UTC(1000, 0, 2);
const MAX_INSTANT_MS = Date.UTC(9999, 11, 30);

/** Whole seconds, so that questions of one second are equal. An instant no Date can hold makes the engine refuse. */
const datetime = (ms: number): CedarRecord => {
  const date = new Date(wholeSeconds(ms) * 1000);
  const arg = Number.isNaN(date.getTime()) ? '' : `${date.toISOString().slice(0, -'.000Z'.length)}Z`;
  return { __extn: { fn: 'datetime', arg } };
};

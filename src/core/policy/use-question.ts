import type { HttpCall } from '../action/http/call.ts';
import type { Server } from '../action/catalog/catalog.ts';
import type { Action, ArgumentValue } from '../action/http/http.ts';
import type { Caller } from '../identity/caller.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import type { TaskHistory } from '../task/history.ts';
import { noAttributes } from '../task/subject-attributes.ts';
import type { Task } from '../task/task.ts';
import type { AuthorizationDetail } from '../token/authorization-details.ts';
import type { BindingMode } from '../token/proof/binding.ts';
import type { Credential } from '../token/credential.ts';
import type { CedarRecord, CedarValue } from './cedar-value.ts';
import type { ContextPath } from './answers/split-by-volatility.ts';
import { isPlainValue } from './plain-value.ts';
import { attestedOf, claimedOf, datetime, distinct, isPlainClock, wholeSeconds } from './context-values.ts';
import type { Question, Terms } from './question.ts';
import { termParts, termsOf } from './terms.ts';
import type { TermFacts } from './terms.ts';

/** The facts about one use of a credential. */
export interface UseFacts {
  readonly call: Pick<HttpCall, 'method' | 'host' | 'path'>;
  readonly caller: Pick<Caller, 'id'>;
  readonly credential: Credential;
  /** `null` if the credential belongs to no task. */
  readonly task: Pick<Task, 'purpose' | 'createdAtMs' | 'risk' | 'claimed' | 'attested' | 'subjectAttributes'> | null;
  /** What the task was allowed before; empty without a task. */
  readonly history: TaskHistory;
  readonly action: Action;
  readonly binding: BindingMode;
  /** Number of this use of the token, from 1; 0 without a token. */
  readonly use: number;
  /** Reuse classes of this use; empty without a token. */
  readonly reuse: readonly string[];
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
}

/**
 * The question whether a call may pass. Without a task the intent is empty: no purpose, no actions, and no condition on an
 * intent holds.
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
    // Risk of the task, which signals can raise.
    ['risk', ({ task }) => task?.risk ?? 'low'],
    ['now', ({ nowMs }) => datetime(nowMs)],
    ['args', ({ action }) => argsOf(action.args)],
  ],
);

/** The volatile parts of the context, which rarely repeat between calls. Affects cost only, never the answer. */
export const PER_CALL: readonly ContextPath[] = [
  ['args'],
  ['request'],
  ['now'],
  ['intent', 'ageSeconds'],
  ['credential', 'secondsLeft'],
  ['credential', 'uses'],
];

/** Builds only the parts of the context that are read: policies read little, and most answers come from the cache. */
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
      (task === null || isPlainTask(task)) &&
      isKnownPlain(history, isPlainHistory) &&
      isKnownPlain(action.labels, areTexts) &&
      isPlainCredential(credential) &&
      isPlainClock(nowMs) &&
      Number.isSafeInteger(wholeSeconds(nowMs - (task?.createdAtMs ?? 0))) &&
      Number.isSafeInteger(use) &&
      arePlainArguments(action.args)
    );
  }
}

const termFactsOf = ({ nowMs, task }: UseFacts): TermFacts => ({
  nowMs,
  subjectAttributes: task?.subjectAttributes ?? noAttributes,
});

/** Like `Object.fromEntries`, which is several times slower. A catalog may name an argument `__proto__`. */
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

/** Immutable values found plain before. They repeat from use to use, and tokens and tasks share many. */
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
    isKnownPlain(claimed, (values) => Object.entries(values).every(areTexts)) &&
    isKnownPlain(attested, (values) => values.every(({ name, value, by }) => areTexts([name, value, by]))) &&
    isKnownPlain(subjectAttributes, isPlainValue)
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
  if (!isKnownPlain(credential.scope, areTexts) || !isPlainText(credential.subject)) return false;
  if (!Number.isSafeInteger(credential.expiresAtSeconds)) return false;
  if (credential.kind !== 'task-token') return true;
  const { actors, details } = credential;
  return isKnownPlain(actors, areTexts) && isKnownPlain(details, areAllTexts);
}

const areAllTexts = (details: readonly AuthorizationDetail[]): boolean =>
  details.every(({ actions }) => areTexts(actions));

/** Only a parsed decimal becomes a Cedar decimal: no argument is an object that the caller shaped. */
const cedarValueOf = (value: ArgumentValue): CedarValue =>
  typeof value === 'object' && 'decimal' in value
    ? { __extn: { fn: 'decimal', arg: value.decimal } }
    : typeof value === 'object'
      ? distinct(value)
      : value;

/** The acting agent: the agent that a task token was issued to (the caller, unless a hop terminates TLS), else the caller. */
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

import { stringify } from 'yaml';
import type { ToStringOptions } from 'yaml';
import type { ArgumentSpec, Catalog, CatalogAction } from '../../../core/action/catalog/catalog.ts';
import type { ReasonCode } from '../../../core/decision/reasons.ts';
import { enforcedUse } from '../../../core/ledger/enforced-use.ts';
import type { UseRecord } from '../../../core/ledger/record.ts';
import type { Task } from '../../../core/task/task.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { writtenCallOf } from '../cases/written-call.ts';
import { isOfPolicies } from '../../../core/shadow/difference.ts';
import { yamlComment } from '../write/comment.ts';

/** What is known of a recorded use's task. */
export interface TaskThen extends Pick<
  Task,
  'purpose' | 'detailsJson' | 'createdAtMs' | 'risk' | 'subject' | 'agent' | 'subjectAttributes'
> {
  /** The current context; `null` if it is not stored. */
  readonly context: Pick<Task, 'claimed' | 'attested'> | null;
}

/** Further knowledge about a recorded use. */
export interface RecordedWith {
  readonly task?: TaskThen | undefined;
  /** What its task was allowed before it. */
  readonly history?: { readonly actions: readonly string[]; readonly labels: readonly string[] } | undefined;
  /** Catalog with its action, to tell which arguments are missing. */
  readonly catalog?: Catalog | undefined;
}

/** A test case in suite format, with notes on what a person must add or know. */
export interface RecordedCase {
  readonly item: Readonly<Record<string, unknown>>;
  readonly notes: readonly string[];
}

/** The arguments of an action whose values a record does not have: neither in its path nor among its recorded arguments. */
export function unrecordedArguments(
  action: CatalogAction | undefined,
  record: Pick<UseRecord, 'args'>,
): readonly ArgumentSpec[] {
  const known = recordedArguments(action, record);
  return (action?.args ?? []).filter(({ name, from }) => from !== 'path' && !known.has(name));
}

/** The values of recorded arguments that an action takes. A digest in place of a long value or a secret is no value. */
export function recordedArguments(
  action: CatalogAction | undefined,
  { args = {} }: Pick<UseRecord, 'args'>,
): ReadonlyMap<string, unknown> {
  return new Map(
    (action?.args ?? []).flatMap(({ name, type }) => {
      const recorded = Object.hasOwn(args, name) ? args[name] : undefined;
      const value = type === 'decimal' ? decimalFrom(recorded) : recorded;
      const isValue = Array.isArray(value) || ['string', 'number', 'boolean'].includes(typeof value);
      return isValue ? [[name, value] as const] : [];
    }),
  );
}

/** A recorded decimal as a number of JSON; `undefined` if a double does not hold it exactly. */
const decimalFrom = (value: unknown): number | undefined =>
  typeof value === 'string' && /^-?\d{1,11}(?:\.\d{1,4})?$/.test(value) ? Number(value) : undefined;

/** Reuse classes that follow from the decision rather than the circumstances. */
const OF_DECISION = new Set(['after-end', 'other-identity', 'other-certificate']);

/**
 * The test case of a recorded use: the same call by the same agent at the same instant. It expects the recorded decision, or for
 * an observed use what enforcing would have answered. Query, headers, body and binding are not recorded and may have mattered:
 * `notes` lists what is missing. A problem if the caller or the request was not recorded.
 */
export function recordedCase(
  record: UseRecord,
  { task, history, catalog }: RecordedWith = {},
): RecordedCase | { readonly problem: string } {
  const { host, method, path, decision, decisionId, reason, policyIds } = enforcedUse(record);
  const agent = agentOf(record, task);
  if (agent === null) return { problem: 'the caller of the recorded call was not known' };
  if (host === '') return { problem: 'the recorded call could not be read' };
  const action = record.action === null ? undefined : catalog?.actions.get(record.action);
  const unrecorded = unrecordedArguments(action, record).map(({ name }) => name);
  const content = contentOf(record, { action, catalog });
  const credential = credentialOf(record);
  const item = {
    name: `decision ${decisionId}`,
    agent,
    now: new Date(record.at).toISOString(),
    ...(task === undefined ? {} : { task: taskOf(record, task) }),
    ...(credential === null ? {} : { credential }),
    ...(history === undefined ? {} : { history }),
    call: { method, url: `https://${host}${path}${content.query}`, ...content.parts },
    expect: decision,
    ...(reason === null ? {} : { reason }),
    ...(policyIds.length === 0 ? {} : { policies: policyIds }),
  };
  const notes = [
    content.isMade
      ? 'query, headers and body are made of the recorded arguments; other content is not recorded'
      : 'query, headers and body are not recorded',
    ...(unrecorded.length === 0 ? [] : [`to be added, if they were sent: ${unrecorded.join(', ')}`]),
    ...(task === undefined
      ? ['purpose and grant of the task are not known']
      : [task.context === null ? 'the context of the task is not known' : 'the context is that of the task now']),
    ...(history === undefined ? ['what the task was allowed before is not known'] : []),
  ];
  return { item, notes };
}

interface Content {
  /** With its question mark; empty for none. */
  readonly query: string;
  readonly parts: { readonly headers?: Readonly<Record<string, string>>; readonly body?: string };
  readonly isMade: boolean;
}

const NO_CONTENT: Content = { query: '', parts: {}, isMade: false };

/** The content of a call as made of its recorded arguments; empty if it would need an invented value. */
function contentOf(
  record: UseRecord,
  { action, catalog }: { readonly action: CatalogAction | undefined; readonly catalog: Catalog | undefined },
): Content {
  const known = recordedArguments(action, record);
  const lacksOne = unrecordedArguments(action, record).some(({ required }) => required);
  if (action === undefined || catalog === undefined || known.size === 0 || lacksOne || action.kind === 'grpc')
    return NO_CONTENT;
  const made = writtenCallOf({ kind: 'action', action: action.id, args: Object.fromEntries(known) }, catalog);
  if (isProblem(made) || made.method !== record.method) return NO_CONTENT;
  const body = made.body === null ? {} : { body: Buffer.from(made.body).toString('utf8') };
  const headers = made.headers.length === 0 ? {} : { headers: Object.fromEntries(made.headers) };
  return { query: queryIn(made.url), parts: { ...headers, ...body }, isMade: true };
}

/** The query of a URL with its question mark; empty for none. */
export const queryIn = (url: string): string => (url.includes('?') ? url.slice(url.indexOf('?')) : '');

/**
 * Whether a case can result in a recorded reason (`null` for an allow): keys, proofs, budgets and faults are not part of a
 * case.
 */
export const isReasonOfCase = (reason: ReasonCode | null): boolean =>
  isOfPolicies(reason) || stateIn(reason) !== undefined;

/** A suite of recorded cases as text, with notes as comments. */
export const recordedSuiteText = (cases: readonly RecordedCase[]): string =>
  cases.length === 0 ? 'cases: []\n' : `cases:\n${cases.map(recordedCaseText).join('')}`;

/** A case as an item of `cases`. Safe for a terminal, since agents choose parts of it. */
export function recordedCaseText({ item, notes }: RecordedCase): string {
  const plain = itemText(item, {});
  // Escapes are only read in double quotes.
  const text = UNPRINTABLE.test(plain)
    ? itemText(item, { defaultStringType: 'QUOTE_DOUBLE' }).replaceAll(
        // oxlint-disable-next-line remit/linear-expression -- one character, without repetition
        new RegExp(UNPRINTABLE, 'gu'),
        (character) => `\\U${(character.codePointAt(0) ?? 0).toString(16).padStart(8, '0')}`,
      )
    : plain;
  return [...notes.map((note) => `  ${yamlComment(note)}\n`), text].join('');
}

const UNPRINTABLE = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

const itemText = (item: RecordedCase['item'], style: ToStringOptions): string =>
  stringify({ cases: [item] }, { lineWidth: 0, aliasDuplicateObjects: false, ...style }).replace(/^"?cases"?:\n/, '');

/** The acting agent: behind a hop that terminates TLS, the agent that the token was issued to, not the caller. */
const agentOf = ({ agent, credential, reason }: UseRecord, task: RecordedWith['task']): string | null =>
  agent !== null && credential === 'task-token' && reason !== 'token.binding' ? (task?.agent ?? agent) : agent;

function credentialOf({ credential, tokenUse, reuse }: UseRecord): Readonly<Record<string, unknown>> | null {
  if (credential === null) return null;
  if (credential === 'workload-identity') return { kind: credential };
  return {
    kind: credential,
    ...(tokenUse === null ? {} : { uses: tokenUse }),
    reuse: reuse.filter((name) => !OF_DECISION.has(name)),
  };
}

function taskOf({ at, reason }: UseRecord, task: NonNullable<RecordedWith['task']>): Readonly<Record<string, unknown>> {
  const state = stateIn(reason);
  const details: unknown = JSON.parse(task.detailsJson);
  return {
    purpose: task.purpose,
    authorization_details: details,
    age_seconds: Math.max(0, Math.floor((at - task.createdAtMs) / 1000)),
    ...(state === undefined ? {} : { state }),
    risk: task.risk,
    ...(task.context === null ? {} : contextOf(task.context)),
    ...(task.subject === task.agent ? {} : { subject: task.subject }),
    ...(Object.keys(task.subjectAttributes).length === 0 ? {} : { subject_attributes: task.subjectAttributes }),
  };
}

const contextOf = ({ claimed, attested }: NonNullable<TaskThen['context']>): Readonly<Record<string, unknown>> => ({
  ...(Object.keys(claimed).length === 0 ? {} : { claimed }),
  ...(attested.length === 0 ? {} : { attested: attested.map(({ name, value, by }) => ({ name, value, by })) }),
});

/** The task state for which a call was denied. */
const stateIn = (reason: ReasonCode | null): string | undefined =>
  /^task\.(suspended|completed|cancelled|revoked|expired)$/.exec(reason ?? '')?.[1];

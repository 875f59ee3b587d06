import { yamlFields, leafOf } from '../../../core/action/catalog/yaml-file.ts';
import type { PlacedNode, YamlFile } from '../../../core/action/catalog/yaml-file.ts';
import type { SpiffeId } from '../../../core/identity/spiffe-id.ts';
import { AUTHORIZATION_DETAILS_TYPE, authorizationDetailsFrom } from '../../../core/token/authorization-details.ts';
import type { Constraints } from '../../../core/token/authorization-details.ts';
import { name, spiffeId } from '../../../core/token/jose/claim-readers.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { integer, listOf, oneOf, text } from '../../../core/runtime/fields.ts';
import type { Reader } from '../../../core/runtime/fields.ts';
import { REUSE_CLASSES } from '../../../core/token/reuse.ts';
import { subjectAttributesFrom } from '../../../core/task/subject-attributes.ts';
import type { SubjectAttributes, SubjectAttributeType } from '../../../core/task/subject-attributes.ts';
import { anyObject, attestedValues, caseInstant, textByName } from './case-leaf.ts';
import { countedFrom } from './limit-fields.ts';
import { DEFAULT_NOW_MS, plainCredential, plainTask } from './test-case.ts';
import type { CaseCredential, CaseTask, CaseCircumstances } from './test-case.ts';

/** Keys of a case, and of a file's defaults, that describe circumstances. */
export const CIRCUMSTANCES = ['agent', 'agents', 'now', 'task', 'credential', 'history', 'limits'] as const;

type Fields = ReadonlyMap<string, PlacedNode>;

const MAX_SECONDS = 366 * 86_400;
const MAX_AGENTS = 100;
const STATES = ['active', 'suspended', 'completed', 'cancelled', 'revoked', 'expired'] as const;
const words = listOf(text({ max: 256 }), { min: 0, max: 256 });
const wholeSeconds = integer(0, MAX_SECONDS);

/**
 * The circumstances, once per agent. Missing fields have the plain defaults. A finding and an empty result if there is no
 * agent, or an agent is not a SPIFFE ID.
 */
export function circumstancesFrom(yaml: YamlFile, fields: Fields, at: number): readonly CaseCircumstances[] {
  const agents = agentsFrom(yaml, fields, at);
  const nowMs = leafOf(yaml, fields.get('now'), { what: '`now`', reader: caseInstant });
  const task = taskFrom(yaml, fields.get('task'));
  const credential = credentialFrom(yaml, fields.get('credential'));
  const history = historyFrom(yaml, fields.get('history'));
  const limits = countedFrom(yaml, fields.get('limits'));
  return agents.map((agent) => ({ agent, nowMs: nowMs ?? DEFAULT_NOW_MS, task, credential, history, limits }));
}

function agentsFrom(yaml: YamlFile, fields: Fields, at: number): readonly SpiffeId[] {
  const [one, many] = [fields.get('agent'), fields.get('agents')];
  if (one !== undefined && many !== undefined) yaml.report(many.offset, 'either `agent` or `agents`, not both');
  if (one === undefined && many === undefined) yaml.report(at, 'the case lacks the key `agent`');
  const agent = leafOf(yaml, one, { what: '`agent`', reader: spiffeId });
  const agents = leafOf(yaml, many, { what: '`agents`', reader: listOf(spiffeId, { max: MAX_AGENTS }) });
  return [...new Set([...(agent === null || agent === undefined ? [] : [agent]), ...(agents ?? [])])];
}

const TASK_KEYS = [
  'purpose',
  'actions',
  'constraints',
  'authorization_details',
  'age_seconds',
  'state',
  'risk',
  'claimed',
  'attested',
  'subject',
  'subject_attributes',
] as const;

const purpose: Reader<string> = text({ min: 0, max: 256 });

/** Parses constraints like those of a token. */
const constraints: Reader<Constraints> = (value) => {
  const detail = {
    type: AUTHORIZATION_DETAILS_TYPE,
    locations: ['https://a.test'],
    actions: ['a'],
    constraints: value,
  };
  const read = authorizationDetailsFrom([detail]);
  return isProblem(read)
    ? { problem: read.problem.replace('entry 0 member `constraints` ', '') }
    : (read[0]?.constraints ?? plainTask.constraints);
};

/** Parses attributes as the issuer does, by the type of each value; policies decide whether the catalog has that type. */
const attributes: Reader<SubjectAttributes> = (value) => {
  const sent = anyObject(value);
  if (isProblem(sent)) return sent;
  const read = subjectAttributesFrom(
    new Map(Object.entries(sent).map(([key, one]) => [key, typeOf(one)])),
    (key) => sent[key],
  );
  return isProblem(read) ? { problem: `member \`${read.name}\` ${read.problem}` } : read.attributes;
};

const typeOf = (value: unknown): SubjectAttributeType =>
  Array.isArray(value)
    ? 'strings'
    : typeof value === 'number'
      ? 'long'
      : typeof value === 'boolean'
        ? 'bool'
        : 'string';

function taskFrom(yaml: YamlFile, node: PlacedNode | undefined): CaseTask {
  if (node === undefined) return plainTask;
  const fields = yamlFields(yaml, node, { what: '`task`', required: [], optional: [...TASK_KEYS, 'context'] });
  const mixed = fields.get('context');
  if (mixed !== undefined)
    yaml.report(
      mixed.offset,
      '`context` does not say whose word it is',
      'use `claimed`, the word of the agent, or `attested`',
    );
  const leaf = <T>(key: (typeof TASK_KEYS)[number], reader: Reader<T>) =>
    leafOf(yaml, fields.get(key), { what: `\`${key}\``, reader });
  const details = fields.get('authorization_details');
  if (details !== undefined && (fields.has('actions') || fields.has('constraints')))
    yaml.report(details.offset, '`authorization_details` is the whole grant: leave `actions` and `constraints` out');
  const entries = leaf('authorization_details', authorizationDetailsFrom) ?? null;
  const declared = entries?.find((entry) => entry.purpose !== null)?.purpose;
  return {
    purpose: leaf('purpose', purpose) ?? declared ?? plainTask.purpose,
    actions: leaf('actions', words) ?? null,
    constraints: leaf('constraints', constraints) ?? plainTask.constraints,
    details: entries,
    ageSeconds: leaf('age_seconds', wholeSeconds) ?? plainTask.ageSeconds,
    state: leaf('state', oneOf(STATES)) ?? plainTask.state,
    risk: leaf('risk', oneOf(['low', 'medium', 'high'])) ?? plainTask.risk,
    claimed: leaf('claimed', textByName) ?? plainTask.claimed,
    attested: leaf('attested', attestedValues) ?? plainTask.attested,
    subject: leaf('subject', name) ?? null,
    subjectAttributes: leaf('subject_attributes', attributes) ?? plainTask.subjectAttributes,
  };
}

const CREDENTIAL_KEYS = ['kind', 'binding', 'scope', 'seconds_left', 'uses', 'reuse'] as const;

function credentialFrom(yaml: YamlFile, node: PlacedNode | undefined): CaseCredential {
  if (node === undefined) return plainCredential;
  const fields = yamlFields(yaml, node, { what: '`credential`', required: [], optional: CREDENTIAL_KEYS });
  const leaf = <T>(key: (typeof CREDENTIAL_KEYS)[number], reader: Reader<T>) =>
    leafOf(yaml, fields.get(key), { what: `\`${key}\``, reader });
  const kind = leaf('kind', oneOf(['task-token', 'external-token', 'workload-identity'])) ?? plainCredential.kind;
  const binding = leaf('binding', oneOf(['certificate', 'spiffe-id', 'dpop', 'none']));
  if (binding === 'none' && kind === 'task-token')
    yaml.report(fields.get('binding')?.offset ?? node.offset, 'a task token is always bound');
  return {
    kind,
    binding: binding ?? (kind === 'task-token' ? plainCredential.binding : 'none'),
    scope: leaf('scope', words) ?? plainCredential.scope,
    secondsLeft: leaf('seconds_left', wholeSeconds) ?? plainCredential.secondsLeft,
    uses: leaf('uses', integer(1, Number.MAX_SAFE_INTEGER)) ?? plainCredential.uses,
    reuse: leaf('reuse', listOf(oneOf(REUSE_CLASSES), { min: 0, max: REUSE_CLASSES.length })) ?? null,
  };
}

function historyFrom(yaml: YamlFile, node: PlacedNode | undefined): CaseCircumstances['history'] {
  if (node === undefined) return { actions: [], labels: [] };
  const fields = yamlFields(yaml, node, { what: '`history`', required: [], optional: ['actions', 'labels'] });
  return {
    actions: leafOf(yaml, fields.get('actions'), { what: '`actions`', reader: words }) ?? [],
    labels: leafOf(yaml, fields.get('labels'), { what: '`labels`', reader: words }) ?? [],
  };
}

import { actionOf } from '../../action/http/http.ts';
import type { ArgumentValue } from '../../action/http/http.ts';
import type { ArgumentSpec, Catalog } from '../../action/catalog/catalog.ts';
import { isDeny } from '../../decision/decision.ts';
import { spiffeIdFrom } from '../../identity/spiffe-id.ts';
import type { SubjectAttribute, SubjectAttributeType } from '../../task/subject-attributes.ts';
import { workloadIdentity } from '../../token/credential.ts';
import { callFrom } from '../engine.ts';
import { issueQuestion } from '../issue-question.ts';
import { useQuestion } from '../use-question.ts';
import type { Question } from '../question.ts';
import type { SampleCall } from './proof.ts';

const VALUES: Readonly<Record<ArgumentSpec['type'], ArgumentValue>> = {
  string: '',
  long: 0,
  bool: false,
  decimal: { decimal: '0.0' },
  strings: [],
};

const SUBJECT_VALUES: Readonly<Record<SubjectAttributeType, SubjectAttribute>> = {
  string: '',
  long: 0,
  bool: false,
  strings: ['group'],
};

/**
 * One sample question of each kind. They detect, at load, a base schema that was changed in the part that Remit fills.
 * The common context is the same for every action, so one action suffices.
 */
export function sampleCalls(catalog: Catalog): readonly SampleCall[] {
  return sampleQuestions(catalog).map((question) => {
    const { principal, action, resource, context } = callFrom(question, [], new Map());
    // Without entities: the schema defines the actions, and the operator's entities are checked separately.
    return { principal, action, resource, context, entities: [] };
  });
}

function sampleQuestions(catalog: Catalog): readonly Question[] {
  const agent = spiffeIdFrom('spiffe://sample.test/agent');
  const action = catalog.actions.values().next().value;
  if (isDeny(agent) || action === undefined) return [];
  const { server, id, risk } = action;
  const subjectAttributes = Object.fromEntries(
    Array.from(catalog.subjectAttributes, ([name, type]) => [name, SUBJECT_VALUES[type]]),
  );
  const maxAmount = { argument: 'amount', limit: 0, currency: { argument: 'currency', value: 'EUR' } };
  const constraints = { singleUse: false, maxCalls: 1, maxAmount, notBeforeMs: 0, notAfterMs: 0 };
  const attested = [{ name: 'name', value: 'value', by: agent, kind: 'writer' as const }];
  const issue = {
    agent,
    server,
    purpose: '',
    actions: [id],
    requested: { action: id, risk, constraints },
    ttlSeconds: 0,
    taskSeconds: 0,
    claimed: { name: 'value' },
    attested,
    subjectAttributes,
    delegation: { parent: agent, depth: 1, attested },
    stopped: { cause: 'operator', isSuspended: false, secondsSince: 0 } as const,
    nowMs: 0,
  };
  const args = new Map(action.args.map(({ name, type }) => [name, VALUES[type]]));
  const use = {
    call: { method: action.method, host: '', path: action.template },
    caller: { id: agent },
    credential: workloadIdentity,
    task: { purpose: '', createdAtMs: 0, risk: 'low', claimed: { name: 'value' }, attested, subjectAttributes },
    history: { version: 1, actions: [id], labels: ['label'] },
    action: actionOf(action, { args, isDecidedOnHeaders: true }),
    binding: 'certificate',
    use: 1,
    reuse: ['first'],
    nowMs: 0,
  } as const;
  return [issueQuestion(issue, catalog), useQuestion(use, catalog)];
}

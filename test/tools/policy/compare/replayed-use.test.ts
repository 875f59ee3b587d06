import { beforeAll, describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { isDeny } from '../../../../src/core/decision/decision.ts';
import type { Decision } from '../../../../src/core/decision/decision.ts';
import type { PlacedUse } from '../../../../src/core/ledger/recorded-use.ts';
import type { PolicySet } from '../../../../src/core/policy/loading/load.ts';
import { setChanges } from '../../../../src/tools/policy/compare/set-changes.ts';
import { rehearse } from '../../../../src/tools/policy/cases/rehearse.ts';
import type { Rehearsal } from '../../../../src/tools/policy/cases/rehearse.ts';
import { useReplayer } from '../../../../src/tools/policy/compare/replayed-use.ts';
import type { RecordedTask } from '../../../../src/tools/policy/compare/recorded-task.ts';
import { plainCircumstances, plainCredential, plainTask } from '../../../../src/tools/policy/cases/test-case.ts';
import type { Attempt, CaseCircumstances } from '../../../../src/tools/policy/cases/test-case.ts';
import { writtenCallOf } from '../../../../src/tools/policy/cases/written-call.ts';
import { exampleCatalog, folderWith, mustLoad } from '../../../builders/policy-folder.ts';
import { planner } from '../cases/folder.ts';
import { intentOf, NOW, recordedTask, storedTask, useOf } from '../cases/records.ts';
import { must } from '../../../builders/must.ts';
import { thoroughly } from '../../../thoroughly.ts';

const policy = (id: string, effect: string, action: string, when = 'true'): string =>
  `@id("${id}") ${effect} (principal, action == Remit::Action::"${action}", resource) when { ${when} };\n`;

const list = policy('list', 'permit', 'payments.list');
const create = policy('create', 'permit', 'payments.create');
const limit = policy('limit', 'forbid', 'payments.create', 'context.args.amount > 500');
/** Random calls; each is decided by three sets. */
const RUNS = thoroughly(500, 150);
const OLD = list + create + limit + policy('ticket', 'permit', 'tickets.create');

let old: PolicySet;
beforeAll(async () => {
  old = await loaded(OLD);
});

const loaded = (policies: string, catalog = exampleCatalog): Promise<PolicySet> =>
  mustLoad(folderWith(policies, { catalog }));

const textOf = (decision: Decision): string =>
  [isDeny(decision) ? decision.reason : 'allow', ...decision.policyIds].join(' ');

interface Changed {
  readonly record?: Partial<PlacedUse>;
  readonly task?: RecordedTask | null;
  readonly policies?: string;
  readonly catalog?: string;
}

/** The decisions of both sets, or what is missing; the record is by OLD, an allow by `list` by default. */
async function replayed({ record = {}, task = recordedTask(), policies = OLD, catalog }: Changed) {
  const other = await loaded(policies, catalog);
  const replay = useReplayer([old, other], setChanges(old, other));
  const found = replay(useOf({ policySet: old.hash, policyIds: ['list'], ...record }), task);
  if ('problem' in found) return found.problem;
  return found.missing.length > 0 ? found.missing : found.decisions.map(textOf);
}

const created = { action: 'payments.create', method: 'POST', policyIds: ['create'] } as const;
const denied = { decision: 'deny', policyIds: [] } as const;
const forbidden = { ...created, decision: 'deny', reason: 'policy.forbidden', policyIds: ['limit'] } as const;
const tool = { action: 'tickets.create', host: 'tickets.acme.test', path: '/mcp', method: 'POST' } as const;
const alone = { credential: 'workload-identity', tokenUse: null, reuse: [], task: null } as const;
const external = { credential: 'external-token', task: null } as const;
const forbid = (when: string, action = 'payments.list'): string => OLD + policy('new', 'forbid', action, when);
const accepting = exampleCatalog.replace(
  'path: /v1/payments, risk: low }',
  'path: /v1/payments, risk: low, accepts: [external-token] }',
);

describe('useReplayer', () => {
  it.each<[string, Changed, readonly [string, string]]>([
    ['what is the same in both', {}, ['allow list', 'allow list']],
    ['a permit that is gone', { policies: create }, ['allow list', 'policy.not-permitted']],
    ['what an unchanged policy said of what is not recorded', { record: created }, ['allow create', 'allow create']],
    [
      'a lower limit, by the recorded argument',
      { record: { ...created, args: { amount: 250 } }, policies: OLD.replace('> 500', '> 200') },
      ['allow create', 'policy.forbidden limit'],
    ],
    [
      'a lower limit that the recorded argument does not reach',
      { record: { ...created, args: { amount: 100 } }, policies: OLD.replace('> 500', '> 200') },
      ['allow create', 'allow create'],
    ],
    [
      'a new policy that reads nothing that is missing',
      { record: created, policies: forbid('context.risk == "low"', 'payments.create') },
      ['allow create', 'policy.forbidden new'],
    ],
    [
      'a forbid that matched, as its record says',
      { record: forbidden },
      ['policy.forbidden limit', 'policy.forbidden limit'],
    ],
    ['a forbid that is gone', { record: forbidden, policies: create }, ['policy.forbidden limit', 'allow create']],
    ['a tool, whose call is made up', { record: { ...tool, policyIds: ['ticket'] } }, ['allow ticket', 'allow ticket']],
    [
      'a route that is new',
      {
        record: { ...denied, action: null, reason: 'action.unknown', path: '/v9' },
        catalog: exampleCatalog.replace('path: /v1/payments, risk: low', 'path: /v9, risk: low'),
      },
      ['action.unknown', 'allow list'],
    ],
    [
      'an identity alone, if a token was wanted',
      {
        record: { ...denied, ...alone, reason: 'token.missing' },
        task: null,
        catalog: exampleCatalog.replace(
          'path: /v1/payments, risk: low }',
          'path: /v1/payments, risk: low, accepts: [workload-identity] }',
        ),
      },
      ['token.missing', 'allow list'],
    ],
    [
      'bad arguments, by one and the same catalog',
      { record: { ...created, ...denied, action: null, reason: 'action.arguments' } },
      ['action.arguments', 'action.arguments'],
    ],
    [
      'by the labels that the other catalog gives to what was done before',
      {
        task: recordedTask({ records: [intentOf(), useOf({ seq: 2, action: 'files.list' })] }),
        policies: forbid('context.task.labels.contains("secret")'),
        catalog: exampleCatalog.replace('action: files.list,', 'action: files.list, labels: [secret],'),
      },
      ['allow list', 'policy.forbidden new'],
    ],
  ])('decides %s', async (_name, changed, expected) => {
    expect(await replayed(changed)).toEqual(expected);
  });

  it.each<[string, Changed, readonly string[]]>([
    [
      'an argument that a changed policy reads',
      { record: created, policies: OLD.replace('500', '9') },
      ['argument amount'],
    ],
    [
      'the presence of an argument',
      { record: created, policies: forbid('context.args has currency', 'payments.create') },
      ['argument currency'],
    ],
    [
      'an argument that the other catalog requires',
      {
        record: created,
        catalog: exampleCatalog.replace('currency: { from: body }', 'currency: { from: body, required: true }'),
      },
      ['query and body'],
    ],
    [
      'an argument that is another in the other catalog',
      {
        record: created,
        catalog: exampleCatalog.replace('currency: { from: body }', 'currency: { from: body, type: long }'),
      },
      ['argument currency'],
    ],
    [
      'the arguments of an action that is new',
      {
        record: { ...denied, action: null, reason: 'action.unknown', path: '/v9', method: 'POST' },
        catalog: exampleCatalog.replace(
          'method: POST\n        path: /v1/payments\n',
          'method: POST\n        path: /v9\n',
        ),
      },
      ['query and body'],
    ],
    [
      'what is of the token',
      {
        policies: forbid(
          'context.credential.binding == "dpop" || context.credential.secondsLeft < 5 || context.credential.scope.contains("x")',
        ),
      },
      ['binding of the token', 'lifetime of the token', 'scope of the token'],
    ],
    [
      'what is of a task that nobody knows',
      {
        task: recordedTask({ stored: undefined, records: [] }),
        policies: forbid('context.intent.ageSeconds > 5 && context.intent.purpose == "" && context.risk == "high"'),
      },
      ['age of the task', 'purpose of the task', 'risk of the task'],
    ],
    [
      'the grant of a task that nobody knows, if the other catalog has the action elsewhere',
      {
        task: recordedTask({ stored: undefined, records: [] }),
        catalog: exampleCatalog.replace('audience: https://payments.acme.test', 'audience: https://pay.acme.test'),
      },
      ['grant of the task'],
    ],
    [
      'the history of a task with parts',
      { task: recordedTask({ hasParts: () => true }), policies: forbid('context.task.actions.contains("x")') },
      ['history of the task'],
    ],
    [
      'the context of a task, if it changed since',
      { task: recordedTask({ isCut: true }), policies: forbid('context.claimed.contains("model=m")') },
      ['claims of the agent'],
    ],
    [
      'what was attested of a task, if it changed since',
      {
        task: recordedTask({ isCut: true }),
        policies: forbid('context.attested.contains({name: "a", value: "b", by: "spiffe://acme.test/w"})'),
      },
      ['attested values of the task'],
    ],
    [
      'the actors of a part',
      { task: recordedTask({ stored: storedTask({ parentId: 'p' }) }), policies: forbid('context.actors.isEmpty()') },
      ['actors of the token'],
    ],
    [
      'secrets in the call, if others may pass',
      {
        catalog: exampleCatalog.replace(
          'path: /v1/payments, risk: low }',
          'path: /v1/payments, risk: low, staticSecrets: { exceptions: [{ header: authorization, owner: a, until: 2027-01-01 }] } }',
        ),
      },
      ['secrets in the call'],
    ],
    ['what OLD reads too, in a record of another set', { record: { ...created, policySet: 'x' } }, ['argument amount']],
    [
      'the set that decided, if OLD decides otherwise',
      { record: { ...denied, policySet: 'x', reason: 'policy.not-permitted' } },
      ['policy set that decided it'],
    ],
    [
      'the body of a call with bad arguments, by another catalog',
      {
        record: { ...created, ...denied, action: null, reason: 'action.arguments' },
        catalog: exampleCatalog.replace('currency: { from: body }', 'note: { from: body }'),
      },
      ['query and body'],
    ],
    [
      'the tool that was not known',
      { record: { ...tool, ...denied, action: null, reason: 'action.unknown' } },
      ['query and body'],
    ],
    ['what was granted', { record: { ...denied, reason: 'action.outside-intent' } }, ['grant of the task']],
    ['the policies, if there were none', { record: { ...denied, reason: 'policy.stale' } }, ['state of the policies']],
    [
      'something, if a record is not what its set decides',
      { record: { policyIds: ['x'] } },
      ['query, headers and body'],
    ],
  ])('misses %s', async (_name, changed, missing) => {
    expect(await replayed(changed)).toEqual(missing);
  });

  it('lists the claims of external tokens as missing', async () => {
    const former = await loaded(OLD, accepting);
    const other = await loaded(
      forbid('context.subject == "ann"'),
      accepting.replace('audience: https://payments.acme.test', 'audience: https://pay.acme.test'),
    );
    const record = useOf({ ...external, policySet: former.hash, policyIds: ['list'] });
    expect(useReplayer([former, other], setChanges(former, other))(record, null)).toMatchObject({
      missing: ['audience of the token', 'subject of the token'],
    });
  });

  it('returns a problem for a record without a caller', async () => {
    expect(await replayed({ record: { agent: null } })).toBe('the caller of the recorded call was not known');
  });

  it('never differs from the decision on the complete call', async () => {
    const replayers = await Promise.all(
      others.map(async (policies) => {
        const other = await loaded(policies);
        return { other, replay: useReplayer([old, other], setChanges(old, other)) };
      }),
    );
    let decided = 0;
    fc.assert(
      fc.property(fc.nat(others.length - 1), fc.boolean(), call, (index, isOfOther, of) => {
        const { other, replay } = replayers[index] ?? { other: old, replay: () => ({ problem: 'no set' }) };
        const found = must(replay(recordOf(of, isOfOther ? other : old), taskOf(of.circumstances)));
        const whole = [old, other].map((set) => mustRehearse(of, set).decision);
        if (found.missing.length > 0) return;
        decided += 1;
        expect(found.decisions.map(reasonOf)).toEqual(whole.map(reasonOf));
      }),
      { numRuns: RUNS },
    );
    expect(decided).toBeGreaterThan(RUNS / 5);
  });
});

/** Sets that differ from OLD in every way that matters for records. */
const others: readonly string[] = [
  OLD,
  OLD.replace('500', '100'),
  create + limit,
  list + create,
  forbid('context.args has currency && context.args.currency == "USD"', 'payments.create'),
  forbid('context.credential.binding != "certificate"', 'payments.create'),
  forbid('context.risk == "high"'),
  forbid('context.intent.purpose == "" || context.credential.uses > 2', 'payments.create'),
  list +
    policy('create', 'permit', 'payments.create', 'context.args.amount <= 50 || context.credential.binding == "dpop"') +
    limit,
];

const circumstance = fc.record({
  binding: fc.constantFrom('certificate' as const, 'dpop' as const, 'spiffe-id' as const),
  uses: fc.constantFrom(1, 2, 3),
  risk: fc.constantFrom('low' as const, 'high' as const),
  purpose: fc.constantFrom('', 'pay'),
});

const call = fc
  .tuple(
    fc.oneof(
      fc.constant<Attempt>({ kind: 'action', action: 'payments.list', args: {} }),
      fc
        .record(
          { amount: fc.constantFrom(0, 75, 300, 501), currency: fc.constantFrom('EUR', 'USD') },
          { requiredKeys: ['amount'] },
        )
        .map((args): Attempt => ({ kind: 'action', action: 'payments.create', args })),
    ),
    circumstance,
  )
  .map(([attempt, { binding, uses, risk, purpose }]) => ({
    attempt,
    circumstances: {
      ...plainCircumstances(planner),
      nowMs: NOW,
      task: { ...plainTask, actions: ['payments.*'], risk, purpose, ageSeconds: 10 },
      credential: { ...plainCredential, binding, uses, reuse: ['first'] },
    } satisfies CaseCircumstances,
  }));

const reasonOf = (decision: Decision): string => (isDeny(decision) ? decision.reason : decision.kind);

interface Made {
  readonly attempt: Attempt;
  readonly circumstances: CaseCircumstances;
}

function mustRehearse({ attempt, circumstances }: Made, set: PolicySet): Rehearsal {
  return must(rehearse(attempt, circumstances, set));
}

/** The record of a call under a set. */
function recordOf(made: Made, set: PolicySet): PlacedUse {
  const { attempt, circumstances } = made;
  const { decision, target } = mustRehearse(made, set);
  const written = must(attempt.kind === 'issue' ? { problem: 'no call' } : writtenCallOf(attempt, set.catalog));
  const url = new URL(written.url);
  return useOf({
    policySet: set.hash,
    decision: decision.kind,
    reason: isDeny(decision) ? decision.reason : null,
    policyIds: decision.policyIds,
    action: target?.action.id ?? null,
    tokenUse: circumstances.credential.uses,
    host: url.hostname,
    method: written.method,
    path: url.pathname,
  });
}

const taskOf = ({ task: { risk, purpose } }: CaseCircumstances): RecordedTask =>
  recordedTask({ stored: storedTask({ risk, purpose }) });

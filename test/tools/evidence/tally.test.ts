import { describe, expect, it } from '@jest/globals';
import type { EvidenceMembers } from '../../../src/tools/evidence/record-members.ts';
import { idlePolicies } from '../../../src/tools/evidence/policy-sets.ts';
import { tally, type Tally } from '../../../src/tools/evidence/tally.ts';

const isOpen = (set: string, id: string): boolean | null => (set === 'unread' ? null : id === 'everything');

const tallyOf = (...records: readonly EvidenceMembers[]): Tally => {
  const { add, found } = tally({ seed: 's', perClass: 2, openPermits: { has: isOpen } });
  for (const [index, record] of records.entries()) add({ log: null, seq: index + 1, at: index }, record);
  return found();
};
const used = (more: EvidenceMembers = {}): EvidenceMembers => ({
  kind: 'use',
  decision: 'allow',
  decisionId: 'd-1',
  agent: 'spiffe://acme.test/planner',
  action: 'payments.create',
  policySet: 'set-1',
  policyIds: ['pay'],
  ...more,
});
const denied = (reason: string, more: EvidenceMembers = {}) => used({ decision: 'deny', reason, ...more });
const paid = (amount: EvidenceMembers[string], more: EvidenceMembers = {}) => used({ args: { amount }, ...more });
const countsIn = ({ classes }: Tally) =>
  [...classes.values()].flatMap(({ id, count }) => (count === 0 ? [] : [[id, count]]));
const classIn = ({ classes }: Tally, id: 'E3' | 'E4' | 'E6') => classes.get(id);

describe('the classes of a record', () => {
  it.each<[string, EvidenceMembers, readonly string[]]>([
    ['an allowed call', used(), ['E1', 'E3']],
    ['an observed call', used({ mode: 'observe' }), ['E1']],
    ['a denied call without an identity', denied('identity.missing', { agent: null }), ['E1', 'E4']],
    ['a denied call of an unknown agent', denied('request.too-large', { agent: null }), ['E4']],
    ['a stolen token', denied('token.binding', { reuse: ['other-identity'] }), ['E1', 'E4', 'E7']],
    ['a token after a renewal', denied('token.binding', { reuse: ['other-certificate'] }), ['E1', 'E4']],
    ['a token after its end', denied('task.completed', { reuse: ['after-end'] }), ['E1', 'E4', 'E7']],
    ['a check that could not be done', denied('ledger.unavailable'), ['E1', 'E4', 'E10']],
    ['an intent that became a task', { kind: 'intent', decision: 'allow', task: 't-1' }, ['E2', 'E9']],
    ['an intent that was refused', { kind: 'intent', decision: 'deny', task: null }, ['E2']],
    ['a bypass', { kind: 'finding', finding: 'bypass' }, ['E11']],
    ['a denial that was served', { kind: 'finding', finding: 'denied-but-served' }, ['E4', 'E11']],
    ['a kind of a later release', { kind: 'new' }, []],
    ['a record without a kind', {}, []],
  ])('of %s', (_name, record, ids) => {
    expect(countsIn(tallyOf(record)).map(([id]) => id)).toEqual(ids);
  });
});

describe('the calls that policies allowed', () => {
  it('leave out those that were only observed, and are those of no set without a policy', () => {
    const found = tallyOf(used(), used({ mode: 'observe' }), used({ policyIds: [] }), used({ policySet: null }));
    expect([classIn(found, 'E3')?.count, found.observed.count]).toEqual([3, 1]);
    expect(classIn(found, 'E3')?.bySet).toEqual([
      { set: 'set-1', allowed: 1, unrestricted: 0 },
      { set: null, allowed: 2, unrestricted: 0 },
    ]);
  });

  it('are unrestricted if any of their policies permits everything', () => {
    const open = used({ policyIds: ['pay', 'everything'] });
    expect(classIn(tallyOf(used(), open, open), 'E3')).toMatchObject({
      bySet: [{ set: 'set-1', allowed: 3, unrestricted: 2 }],
    });
  });

  it('name a policy of two sets twice, the most frequent first, and say if the text of a set is not here', () => {
    const found = tallyOf(used(), used({ policySet: 'unread' }), used({ policySet: 'unread' }));
    expect(classIn(found, 'E3')?.policies).toEqual([
      { id: 'pay', set: 'unread', count: 2, allowed: 2, isOpen: null, denied: [] },
      { id: 'pay', set: 'set-1', count: 1, allowed: 1, isOpen: false, denied: [] },
    ]);
  });

  it('take nothing from members of another type', () => {
    const found = tallyOf(used({ policyIds: 'pay', args: ['amount'] }), used({ policyIds: [1, null], action: 5 }));
    expect(classIn(found, 'E3')).toMatchObject({
      count: 2,
      bySet: [{ set: null, allowed: 2, unrestricted: 0 }],
      policies: [],
    });
    expect([found.args, found.actions.named.map(({ name }) => name)]).toEqual([[], ['payments.create']]);
  });
});

const policy = (id: string, shadow = false) =>
  ({ id, shadow, effect: 'permit', file: 'a', reason: null, reach: null, untilMs: null }) as const;

describe('idlePolicies', () => {
  const set = { hash: 'set-1', policies: [policy('pay'), policy('list'), policy('dark', true)] };

  it('are those enforced that decided no record of the period, by any class', () => {
    expect(idlePolicies(set, tallyOf(used()))).toEqual(['list']);
    expect(idlePolicies(set, tallyOf(used({ policySet: 'set-2' })))).toEqual(['pay', 'list']);
    expect(idlePolicies(set, tallyOf(denied('policy.forbidden', { policyIds: ['list'] })))).toEqual(['pay']);
    expect(
      idlePolicies(
        set,
        tallyOf({ kind: 'intent', decision: 'allow', task: 't', policySet: 'set-1', policyIds: ['list'] }),
      ),
    ).toEqual(['pay']);
  });

  it('are not known if more policies decided than are counted by name', () => {
    const many = Array.from({ length: 1_000 }, (_, n) => used({ policyIds: [`p${n}`] }));
    expect(idlePolicies(set, tallyOf(...many))).toBeNull();
  });
});

describe('the exceptions of a class', () => {
  it('are counted by code, the most frequent first', () => {
    const found = tallyOf(denied('task.expired'), denied('policy.forbidden'), denied('policy.forbidden'));
    expect(classIn(found, 'E4')?.exceptions).toEqual([
      { code: 'policy.forbidden', count: 2 },
      { code: 'task.expired', count: 1 },
    ]);
  });

  it('beyond 64 codes are counted together', () => {
    const found = tallyOf(...Array.from({ length: 70 }, (_, n) => denied(`later.${n}`)));
    const exceptions = classIn(found, 'E4')?.exceptions ?? [];
    expect([exceptions.length, exceptions.at(-1)]).toEqual([65, { code: 'others', count: 6 }]);
  });
});

describe('the sample of a class', () => {
  it('has as many records as were asked for, whatever their number', () => {
    const found = tallyOf(...Array.from({ length: 50 }, () => used()));
    expect(classIn(found, 'E3')?.sampled).toHaveLength(2);
    expect(classIn(tallyOf(used()), 'E3')?.sampled).toEqual([{ log: null, seq: 1, at: 0 }]);
  });
});

describe('who acted', () => {
  it.each<[string, EvidenceMembers, string | null]>([
    ['loaded a policy set', { kind: 'policy', by: 'deploy' }, 'account deploy'],
    ['is unknown for a policy set', { kind: 'policy', by: null }, null],
    ['ended a task', { kind: 'end', by: 'operator Ada' }, 'operator Ada'],
    ['suspended a task', { kind: 'event', event: 'suspended', by: 'remit' }, 'remit'],
    ['is nobody for a call', used({ by: 'x' }), null],
  ])('%s', (_name, record, name) => {
    expect(tallyOf(record).actors.named.map((found) => found.name)).toEqual(name === null ? [] : [name]);
  });
});

describe('the recorded arguments', () => {
  it('are summed exactly beyond 2^53, with the largest', () => {
    const large = Number.MAX_SAFE_INTEGER;
    expect(tallyOf(paid(large), paid(large), paid(-1)).args).toEqual([
      {
        action: 'payments.create',
        argument: 'amount',
        uses: 3,
        sum: String(2n * BigInt(large) - 1n),
        largest: large,
      },
    ]);
  });

  it.each<[string, EvidenceMembers[string]]>([
    ['a decimal', '12.50'],
    ['a fraction', 0.5],
    ['a number beyond 2^53', 2 ** 60],
    ['a set', ['a']],
  ])('have neither sum nor largest value after %s', (_name, value) => {
    const [found] = tallyOf(paid(1), paid(value), paid(2)).args;
    expect(found).toMatchObject({ uses: 3, sum: null, largest: null });
  });

  it('are those of allowed calls alone', () => {
    expect(tallyOf(paid(1, { decision: 'deny' }), paid(2, { mode: 'observe' })).args).toEqual([]);
  });

  it('beyond 1,000 names are counted together', () => {
    const found = tallyOf(...Array.from({ length: 1_003 }, (_, n) => used({ args: { [`a${n}`]: 1 } }))).args;
    expect(found).toHaveLength(1_001);
    expect(found.at(-1)).toEqual({ action: '(others)', argument: '(others)', uses: 3, sum: null, largest: null });
  });
});

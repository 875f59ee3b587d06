import { describe, expect, it } from '@jest/globals';
import { OversightTally } from '../../../src/tools/evidence/oversight.ts';
import { operatorAct } from '../../../src/tools/evidence/operator-act.ts';
import type { EvidenceMembers } from '../../../src/tools/evidence/record-members.ts';

const found = (...records: readonly EvidenceMembers[]) => {
  const tally = new OversightTally();
  for (const [index, record] of records.entries()) tally.add({ log: null, seq: index + 1, at: index * 1_000 }, record);
  return tally.found();
};
const operator = 'spiffe://acme.test/ops/ada';
const order = (event: string, cause: string, more: EvidenceMembers = {}): EvidenceMembers => ({
  kind: 'event',
  event,
  cause,
  by: operator,
  note: 'CHG-7',
  details: { order: 'o1', of: 'observe', until: 9_000, agents: ['spiffe://acme.test/a'], servers: ['payments'] },
  ...more,
});
const bundle = (policySet: string, signers: readonly string[]): EvidenceMembers => ({
  kind: 'policy',
  policySet,
  origin: { kind: 'bundle', signers },
});

describe('OversightTally', () => {
  it('counts acts by operator, and none that nobody did by hand', () => {
    const { acts } = found(
      { kind: 'end', cause: 'operator.revoked', by: 'operator Ada' },
      { kind: 'end', cause: 'operator.revoked', by: 'operator Ada' },
      order('order-made', 'operator.stopped', { details: { of: 'stop' } }),
      order('order-over', 'deadline', { by: 'remit' }),
      { kind: 'end', cause: 'agent.completed', by: 'spiffe://acme.test/a' },
      { kind: 'event', event: 'receipt', cause: null, by: 'remit' },
    );
    expect(acts.map(({ act, by, count }) => [act, by, count])).toEqual([
      ['revoked a task', 'operator Ada', 2],
      ['stopped more than one task', operator, 1],
    ]);
  });

  it('counts each signature of a set once, however often the set comes into force', () => {
    const { acts } = found(bundle('s1', ['k1', 'k2']), bundle('s1', ['k1', 'k2']), bundle('s2', ['k1']));
    const act = 'signed a policy set that came into force';
    expect(acts.map((one) => [one.act, one.by, one.count])).toEqual([
      [act, 'key k1', 2],
      [act, 'key k2', 1],
    ]);
    expect(found({ kind: 'policy', policySet: 's', origin: { kind: 'folder' } }).acts).toEqual([]);
  });

  it('has each emergency once, with its end, and who lifted it', () => {
    const made = order('order-made', 'operator.observed');
    const { emergencies } = found(made, made, order('order-lifted', 'operator.lifted', { by: 'operator Eve' }));
    expect(emergencies).toEqual([
      {
        order: 'o1',
        ref: 1,
        atMs: 0,
        by: operator,
        because: 'CHG-7',
        agents: ['spiffe://acme.test/a'],
        servers: ['payments'],
        untilMs: 9_000,
        liftedBy: 'operator Eve',
        liftedAtMs: 2_000,
      },
    ]);
  });

  it('takes nothing from members of another type', () => {
    const odd = order('order-made', 'operator.observed', { details: { order: 5, of: 'observe' }, by: 7 });
    expect(found(odd, { kind: 'policy', origin: [] })).toMatchObject({
      acts: [{ by: 'not recorded', count: 1 }],
      emergencies: [],
    });
  });
});

describe('operatorAct', () => {
  it.each<[string, EvidenceMembers, string | null]>([
    ['a resumption', { kind: 'event', cause: 'operator.resumed' }, 'resumed a task'],
    ['a cause of a later release', { kind: 'event', cause: 'operator.later' }, null],
    ['the restore of a backup', { kind: 'end', cause: 'operator.restored' }, null],
    ['a signal', { kind: 'event', cause: 'signal.account-disabled' }, null],
    ['a use', { kind: 'use', cause: 'operator.revoked' }, null],
  ])('of %s', (_name, record, act) => {
    expect(operatorAct(record)).toBe(act);
  });
});

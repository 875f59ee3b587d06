import { describe, expect, it } from '@jest/globals';
import { heldExceptions } from '../../../src/tools/evidence/held-exceptions.ts';
import { judgedSets } from '../../../src/tools/evidence/judged-set.ts';
import { SetTexts } from '../../../src/tools/evidence/set-texts.ts';
import type { Tally } from '../../../src/tools/evidence/tally.ts';
import { setHashOf } from '../../../src/core/policy/loading/set-hash.ts';
import { DAY_MS, dayOf } from '../../../src/core/runtime/day.ts';
import { none } from '../../../src/tools/evidence/counted.ts';
import { folderWith } from '../../builders/policy-folder.ts';

// Ends of `enforcement.yaml` are at most 90 days away.
const today = Math.floor(Date.now() / DAY_MS) * DAY_MS;
const later = today + 30 * DAY_MS;
const enforcement = (because: string) => `observe:
  - id: legacy
    agents: ['spiffe://acme.test/ns/legacy/*']
    servers: [payments]
    until: ${dayOf(later)}
    owner: team-payments
    because: ${because}
`;
const policies =
  '@id("trial") @until("2026-01-31") @reason("CHG-9") permit (principal, action, resource) when { context.risk == "high" };';
const emergency = {
  order: 'o1',
  ref: 1,
  atMs: 0,
  by: 'spiffe://acme.test/ops/ada',
  because: 'outage',
  agents: ['*'],
  servers: [],
  untilMs: today,
  liftedBy: null,
  liftedAtMs: null,
};

async function exceptionsOf(sources: readonly ReturnType<typeof folderWith>[], tally: Partial<Tally> = {}) {
  const sets = await judgedSets(sources.map(setHashOf), {
    texts: new SetTexts(['/nowhere'], sources),
    trustDomains: [],
    instants: [],
    onProgress: () => {},
  });
  const counts = { emergencies: [], observedBy: { named: [], others: none }, ...tally };
  return heldExceptions({
    sets,
    tally: counts,
    toMs: today + 1,
    ownerOf: (_set, id) => (id === 'trial' ? 'team-a' : null),
  });
}
const calls = (name: string, count: number) => ({ name, count, first: null, last: null });

describe('heldExceptions', () => {
  it('has entries, permits for a time and emergencies with owner, reason, end and calls, the open ones first', async () => {
    const observedBy = { named: [calls('legacy', 7), calls('o1', 3)], others: none };
    const source = folderWith(policies, { enforcement: enforcement('CHG-1') });
    const found = await exceptionsOf([source], { observedBy, emergencies: [emergency] });
    expect(found).toEqual([
      {
        kind: 'observed',
        id: 'legacy',
        set: setHashOf(source),
        about: 'spiffe://acme.test/ns/legacy/* at payments',
        owner: 'team-payments',
        because: 'CHG-1',
        untilMs: later,
        isOver: false,
        calls: 7,
      },
      expect.objectContaining({
        kind: 'permit for a time',
        id: 'trial',
        owner: 'team-a',
        because: 'CHG-9',
        isOver: true,
      }),
      expect.objectContaining({
        kind: 'emergency',
        id: 'o1',
        about: 'every agent at every server',
        owner: 'spiffe://acme.test/ops/ada',
        isOver: true,
        calls: 3,
      }),
    ]);
  });

  it('names once what several sets have in the same words, and each of its words', async () => {
    const sources = ['CHG-1', 'CHG-1', 'CHG-2'].map((because, n) =>
      folderWith(`@id("p${n}") permit (principal, action, resource) when { context.risk == "high" };`, {
        enforcement: enforcement(because),
      }),
    );
    expect((await exceptionsOf(sources)).map(({ because }) => because)).toEqual(['CHG-1', 'CHG-2']);
  });

  it('names an entry that let calls through and that no text has, without an owner', async () => {
    const found = await exceptionsOf([], { observedBy: { named: [calls('gone', 2)], others: none } });
    expect(found).toMatchObject([
      { kind: 'observed', id: 'gone', owner: null, untilMs: null, isOver: false, calls: 2 },
    ]);
  });
});

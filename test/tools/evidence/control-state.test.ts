import { describe, expect, it } from '@jest/globals';
import { broken } from '../../../src/core/ledger/proof/verdict.ts';
import type { Problem } from '../../../src/core/runtime/problem.ts';
import { none } from '../../../src/tools/evidence/counted.ts';
import { controlStateOf, type StateFacts } from '../../../src/tools/evidence/control-state.ts';
import type { ClassId } from '../../../src/tools/evidence/evidence-class.ts';
import { frameworks } from '../../../src/tools/evidence/frameworks.ts';
import { judgedSets, type JudgedSet } from '../../../src/tools/evidence/judged-set.ts';
import { SetTexts } from '../../../src/tools/evidence/set-texts.ts';
import type { ClassTally } from '../../../src/tools/evidence/class-count.ts';
import { setHashOf } from '../../../src/core/policy/loading/set-hash.ts';
import { folderWith } from '../../builders/policy-folder.ts';
import { soundWith } from './report-with.ts';

const closed = folderWith('@id("pay") permit (principal, action, resource) when { context.intent.purpose == "pay" };');
const open = folderWith('@id("all") permit (principal, action, resource);');
const [closedHash, openHash] = [setHashOf(closed), setHashOf(open)];
const judged = await judgedSets([closedHash, openHash], {
  texts: new SetTexts(['/nowhere'], [closed, open]),
  trustDomains: [],
  instants: [0],
  onProgress: () => {},
});
const setsOf = (...hashes: readonly string[]): ReadonlyMap<string, JudgedSet | Problem> =>
  new Map(hashes.map((hash) => [hash, judged.get(hash) ?? { problem: 'its text is not here' }]));
const tallyWith = (id: ClassId, change: Partial<ClassTally> = {}): ClassTally => ({
  id,
  count: 1,
  first: null,
  last: null,
  exceptions: [],
  sampled: [],
  policies: [],
  bySet: [],
  ...change,
});
const allowed = (set: string | null, count = 1, unrestricted = 0) => ({ set, allowed: count, unrestricted });
const deciding = (id: string) => ({ id, set: closedHash, count: 1, allowed: 1, isOpen: false, denied: [] });
const calls = (...bySet: ClassTally['bySet']) => tallyWith('E3', { bySet });
const noUses = { allowed: 0, executed: 0, unanswered: 0, notSent: 0, withdrawn: 0, unknown: 0 };
const tallied = (change: Partial<StateFacts['tally']> = {}): StateFacts['tally'] => ({
  classes: new Map(),
  observed: none,
  uses: noUses,
  ...change,
});
const facts = (change: Partial<StateFacts> = {}): StateFacts => ({
  verdicts: [soundWith()],
  sets: setsOf(closedHash),
  missing: [],
  results: [],
  tally: tallied(),
  ...change,
});
const control = { coverage: 'enforces', classes: ['E3', 'E4'] } as const;
const of = (tallies: readonly ClassTally[], change: Partial<StateFacts> = {}) => {
  const { state, gaps } = controlStateOf(control, tallies, facts(change));
  return [state, gaps.map(({ code }) => code)];
};

describe('stateOf', () => {
  it.each<[string, readonly ClassTally[], Partial<StateFacts>, string, readonly string[]]>([
    ['every call was restricted by policies that are here', [calls(allowed(closedHash))], {}, 'evidenced', []],
    [
      'a permit of everything allowed each call',
      [calls(allowed(openHash, 2, 2))],
      { sets: setsOf(openHash) },
      'recorded, not evidenced',
      ['open-permit', 'open-set'],
    ],
    [
      'a set lets unknown agents do everything, by no single permit',
      [calls(allowed(openHash, 2, 0))],
      { sets: setsOf(openHash) },
      'recorded, not evidenced',
      ['open-permit', 'open-set'],
    ],
    [
      'one of many calls was allowed by a permit of everything',
      [calls(allowed(closedHash, 999), allowed(openHash, 1, 1))],
      { sets: setsOf(closedHash, openHash) },
      'evidenced in part',
      ['open-permit', 'open-set'],
    ],
    [
      'an open set was in force and decided nothing',
      [tallyWith('E4')],
      { sets: setsOf(openHash) },
      'recorded, not evidenced',
      ['open-set'],
    ],
    [
      'the text of the set is not here',
      [calls(allowed('sha-256:gone'))],
      { sets: setsOf('sha-256:gone') },
      'recorded, not evidenced',
      ['text-unknown', 'text-unknown'],
    ],
    [
      'a record names a policy that its set lacks',
      [tallyWith('E3', { bySet: [allowed(closedHash)], policies: [deciding('pay'), deciding('none-such')] })],
      {},
      'evidenced in part',
      ['text-unknown'],
    ],
    [
      'some records name no policy',
      [calls(allowed(closedHash), allowed(null))],
      {},
      'evidenced in part',
      ['text-unknown'],
    ],
    [
      'one set is open and another is unknown',
      [calls(allowed(openHash, 1, 1), allowed('sha-256:gone'))],
      { sets: setsOf(openHash, 'sha-256:gone') },
      'recorded, not evidenced',
      ['open-permit', 'text-unknown', 'open-set', 'text-unknown'],
    ],
    [
      'the ledger is broken',
      [calls(allowed(closedHash))],
      { verdicts: [soundWith(), broken('record', 7, 'was changed')] },
      'recorded, not evidenced',
      ['ledger-broken'],
    ],
    [
      'records of the period may be missing',
      [calls(allowed(closedHash))],
      { missing: ['the retention deleted 3 records'] },
      'evidenced in part',
      ['records-missing'],
    ],
    ['there is no record', [tallyWith('E3', { count: 0 })], {}, 'no record in this period', []],
  ])('if %s', (_name, tallies, change, state, codes) => {
    expect(of(tallies, change)).toEqual([state, codes]);
  });

  it('is evidenced in part beside calls that were only observed, and not at all if there were no others', () => {
    const observed = { ...none, count: 5 };
    const beside = tallied({ classes: new Map([['E3', calls()] as const]), observed });
    expect(of([calls(allowed(closedHash))], { tally: beside })).toEqual(['evidenced in part', ['only-observed']]);
    expect(of([tallyWith('E6')], { tally: tallied({ observed }) })[0]).toBe('recorded, not evidenced');
  });

  it.each(['bypass', 'failure-mode-allowed', 'denied-but-served', 'access-log-lost'])(
    'is evidenced in part beside %s',
    (code) => {
      const found = tallyWith('E11', { exceptions: [{ code, count: 1 }] });
      const tally = tallied({ classes: new Map([['E11', found] as const]) });
      expect(of([calls(allowed(closedHash))], { tally })).toEqual(['evidenced in part', ['unchecked']]);
      expect(
        controlStateOf({ coverage: 'evidences', classes: ['E8'] }, [tallyWith('E8')], facts({ tally })).state,
      ).toBe('evidenced');
    },
  );

  it('is evidenced in part if it rests on outcomes and there are none', () => {
    const compared = { coverage: 'enforces', classes: ['E3', 'E11'] } as const;
    const stateWith = (uses: object) => {
      const tally = tallied({ uses: { ...noUses, ...uses } });
      const { state, gaps } = controlStateOf(compared, [calls(allowed(closedHash))], facts({ tally }));
      return [state, gaps.map(({ code }) => code)];
    };
    expect(stateWith({ allowed: 2, unknown: 2 })).toEqual(['evidenced in part', ['no-outcomes']]);
    expect(stateWith({ allowed: 2, executed: 1, unknown: 1 })).toEqual(['evidenced', []]);
  });

  // Issue 43, point 7.
  it('evidences nothing that policies decide under a permit of everything, in any framework', () => {
    const byPolicy = new Set<ClassId>(['E2', 'E3', 'E4', 'E6']);
    const all = [...frameworks.values()].flatMap(({ controls }) => controls);
    const asked = all.filter(({ classes }) => classes.some((id) => byPolicy.has(id)));
    const states = asked.map(({ coverage, classes }) => {
      const tallies = classes.map((id) => tallyWith(id, { bySet: [allowed(openHash, 3, 3)] }));
      return controlStateOf({ coverage, classes }, tallies, facts({ sets: setsOf(openHash) })).state;
    });
    expect(states.length).toBeGreaterThan(80);
    expect(new Set(states)).toEqual(new Set(['recorded, not evidenced']));
  });
});

import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { FILTER_NAMES, matchesFilter, traceFilterFrom } from '../../../../src/sidecar/check/trace/trace-filter.ts';
import type { FilteredRecord } from '../../../../src/sidecar/check/trace/trace-filter.ts';

const record: FilteredRecord = {
  agent: 'spiffe://acme.test/ns/agents/sa/planner',
  refusedCaller: null,
  task: 'task-1',
  action: 'payments.read',
  host: 'payments.acme.test',
  path: '/v1/payments/p-1',
  decision: 'deny',
  reason: 'policy.forbidden',
};
const sent: Readonly<Record<(typeof FILTER_NAMES)[number], string>> = {
  agent: 'spiffe://acme.test/ns/agents/sa/planner',
  task: 'task-1',
  action: 'payments.read',
  host: 'payments.acme.test',
  path: '/v1/payments/p-1',
  decision: 'deny',
  reason: 'policy.forbidden',
  trace: 'trace-2',
};
const traceIds = ['trace-1', 'trace-2', null];

describe('traceFilterFrom', () => {
  it('reads every filter, and nothing of none', () => {
    expect(traceFilterFrom(Object.entries(sent))).toEqual(sent);
    expect(traceFilterFrom([])).toEqual({});
  });

  it.each<[string, readonly (readonly [string, string])[], string]>([
    ['a name that it does not know', [['color', 'red']], 'unknown filter `color`'],
    ['a name of every object', [['constructor', 'x']], 'unknown filter `constructor`'],
    ['a long name, in part', [['n'.repeat(1_000), 'x']], `unknown filter \`${'n'.repeat(64)}\``],
    ['a name twice', [...Object.entries({ task: 'a' }), ['task', 'a']], 'the filter `task` is given twice'],
    ['no value', [['task', '']], 'the filter `task` must have 1 to 2048 characters'],
    ['a value too long', [['path', 'x'.repeat(2_049)]], 'the filter `path` must have 1 to 2048 characters'],
  ])('refuses %s', (_name, given, problem) => {
    expect(traceFilterFrom(given)).toEqual({ problem });
  });
});

describe('matchesFilter', () => {
  it.each(FILTER_NAMES)('compares %s: the whole value, or its beginning before a `*`', (name) => {
    const value = sent[name];
    const matches = (wanted: string): boolean => matchesFilter({ [name]: wanted }, record, traceIds);
    const [half, more] = [value.slice(0, 3), `${value}x`];
    expect([value, '*', `${half}*`, `${value}*`].map(matches)).toEqual([true, true, true, true]);
    expect([half, more, `${more}*`, value.toUpperCase(), `*${value}`].map(matches)).not.toContain(true);
  });

  it('wants all filters to match', () => {
    expect(matchesFilter(sent, record, traceIds)).toBe(true);
    for (const name of FILTER_NAMES)
      expect([name, matchesFilter({ ...sent, [name]: 'other' }, record, traceIds)]).toEqual([name, false]);
  });

  it('finds who was refused as a caller, and nothing in what is not known', () => {
    const unread = { ...record, agent: null, task: null, action: null, reason: null };
    const thief = { id: 'spiffe://acme.test/thief' } as FilteredRecord['refusedCaller'];
    expect(matchesFilter({ agent: 'spiffe://acme.test/*' }, { ...unread, refusedCaller: thief }, [])).toBe(true);
    for (const name of ['agent', 'task', 'action', 'reason', 'trace'])
      expect([name, matchesFilter({ [name]: '*' }, unread, [null])]).toEqual([name, false]);
  });

  it('takes no value for a pattern but by a `*` at its end', () => {
    fc.assert(
      fc.property(fc.string(), fc.string({ minLength: 1 }), (path, wanted) => {
        const isWhole = path === wanted;
        const isBeginning = wanted.endsWith('*') && path.startsWith(wanted.slice(0, -1));
        expect(matchesFilter({ path: wanted }, { ...record, path }, [])).toBe(
          wanted.endsWith('*') ? isBeginning : isWhole,
        );
      }),
    );
  });
});

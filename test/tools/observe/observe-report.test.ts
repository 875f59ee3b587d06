import { describe, expect, it } from '@jest/globals';
import type { UseRecord } from '../../../src/core/ledger/record.ts';
import { observeReport } from '../../../src/tools/observe/observe-report.ts';
import type { ReportedAgent } from '../../../src/tools/observe/observe-report.ts';
import { ObservedUses } from '../../../src/tools/observe/observed-uses.ts';
import type { ReadRecord } from '../../../src/tools/learn/record-window.ts';
import { Room } from '../../../src/tools/learn/seen/room.ts';
import { observedUse } from '../learn/learning.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const nowMs = Date.UTC(2026, 10, 30, 12);
const agent = 'spiffe://acme.test/ns/legacy/sa/one';

const rule = { days: 7, quietMs: DAY_MS, cleanMs: 3 * DAY_MS, nowMs };

const use = (hoursAgo: number, change: Partial<UseRecord> = {}): UseRecord =>
  observedUse({
    agent,
    entry: 'legacy',
    at: nowMs - hoursAgo * HOUR_MS,
    action: 'files.list',
    would: { decision: 'allow', reason: null, detail: null, policyIds: [] },
    ...change,
  });

const week = Array.from({ length: 8 }, (_, day) => use(day * 24));

const wouldDeny = (
  reason: NonNullable<UseRecord['reason']>,
  policyIds: readonly string[] = [],
): Partial<UseRecord> => ({
  would: { decision: 'deny', reason, detail: null, policyIds },
});

interface Given {
  readonly decided?: readonly string[];
  readonly room?: Room;
}

function reportOf(records: readonly object[], { decided = [], room }: Given = {}) {
  const uses = new ObservedUses({ recentFromMs: nowMs - rule.cleanMs, decided: new Set(decided) }, room);
  const foreign = records.filter((record) => uses.add(JSON.parse(JSON.stringify(record)) as ReadRecord) === 'foreign');
  const counts = { records: 0, uses: 0, foreign: foreign.length, missing: 0 };
  return observeReport({ uses, entries: null, counts, span: { fromMs: nowMs - 14 * DAY_MS, toMs: nowMs }, rule });
}

const onlyAgent = (records: readonly object[], given?: Given): ReportedAgent => {
  const one = reportOf(records, given).entries[0]?.agents[0];
  if (one === undefined) throw new Error('no agent was reported');
  return one;
};

const reasonsOf = (records: readonly object[], given?: Given): readonly string[] =>
  onlyAgent(records, given).notReady.map(({ code, why }) => `${code}: ${why}`);

const helpOf = (reason: NonNullable<UseRecord['reason']>): string | undefined =>
  onlyAgent([...week, use(1, wouldDeny(reason))]).notReady[0]?.help;

describe('observeReport', () => {
  it('has the curve of new actions in each of the last days', () => {
    const { lastDays } = onlyAgent([
      ...week,
      use(24, { action: 'files.read' }),
      use(24, { action: 'files.write' }),
      use(1, { action: 'files.read' }),
    ]);
    expect(lastDays.map(({ day, calls, new: fresh }) => [day, calls, fresh])).toEqual([
      ['2026-11-24', 1, 0],
      ['2026-11-25', 1, 0],
      ['2026-11-26', 1, 0],
      ['2026-11-27', 1, 0],
      ['2026-11-28', 1, 0],
      ['2026-11-29', 3, 2],
      ['2026-11-30', 2, 0],
    ]);
  });

  it('takes values in a path of an unknown call for one action, and tells tools and gRPC methods apart', () => {
    const unknown = { action: null, host: 'old.acme.test', ...wouldDeny('action.unknown') };
    const mcp = (tool: string): Partial<UseRecord> => ({
      ...unknown,
      method: 'POST',
      path: '/mcp',
      shape: { protocol: 'mcp', query: [], rpc: { method: 'tools/call', tool } },
    });
    const { shape: _, ...shapeless } = use(1, { action: null, host: '', path: '', method: '' });
    const { actions } = onlyAgent([
      ...Array.from({ length: 40 }, (_, n) => use(1, { ...unknown, path: `/orders/${n}` })),
      use(1, mcp('search')),
      use(1, mcp('delete')),
      use(1, { ...unknown, method: 'POST', path: '/acme.Rates/Get', shape: { protocol: 'grpc', query: [] } }),
      { ...shapeless, ...wouldDeny('request.malformed') },
    ]);
    expect(actions.map(({ name, calls }) => `${name} ${calls}`)).toEqual([
      'GET old.acme.test/orders/{order:int} 40',
      'grpc old.acme.test/acme.Rates/Get 1',
      'mcp old.acme.test/mcp tool delete 1',
      'mcp old.acme.test/mcp tool search 1',
      'requests that could not be read 1',
    ]);
  });

  it('counts enforced calls nowhere, malformed calls as foreign, and calls that were denied all the same apart', () => {
    const { mode: _, entry: __, would: ___, ...enforced } = use(1);
    const report = reportOf([
      ...week,
      enforced,
      { ...use(1), at: 'yesterday' },
      use(2, { decision: 'deny', reason: 'task.revoked', ...wouldDeny('task.revoked') }),
    ]);
    expect(report.read.foreign).toBe(1);
    expect(report.entries[0]?.agents[0]).toMatchObject({
      calls: 9,
      isReady: true,
      wouldBeDenied: [],
      denied: [{ reason: 'task.revoked', calls: 1 }],
    });
  });

  it('keeps the agents of each entry apart, and calls without an identity', () => {
    const report = reportOf([use(1), use(1, { entry: 'other' }), use(1, { agent: null, entry: 'nameless' })]);
    expect(report.entries.map(({ id, agents }) => [id, agents.map((one) => one.agent)])).toEqual([
      ['legacy', [agent]],
      ['nameless', [null]],
      ['other', [agent]],
    ]);
  });
});

describe('notReady', () => {
  it.each<readonly [string, readonly object[], readonly string[], Given?]>([
    ['nothing new and nothing denied for a week: ready', week, []],
    ['too few days', week.slice(0, 3), ['few-days: seen on 3 of 7 days']],
    [
      'actions first seen in the last 24 h',
      [...week, use(23, { action: 'a' }), use(22, { action: 'b' }), use(1, { action: 'c' })],
      ['new-actions: 3 actions first seen in the last 24 h'],
    ],
    ['an action first seen before that', [...week, use(25, { action: 'a' })], []],
    [
      'would-be denials of the last days, each reason with an example',
      [
        ...week,
        use(70, { ...wouldDeny('policy.not-permitted'), decisionId: 'first' }),
        use(48, { ...wouldDeny('policy.not-permitted'), decisionId: 'second' }),
        use(30, { ...wouldDeny('token.missing'), decisionId: 'third' }),
      ],
      [
        'would-be-denied: 2 calls of the last 3 d would be denied for policy.not-permitted, such as second',
        'would-be-denied: 1 call of the last 3 d would be denied for token.missing, such as third',
      ],
    ],
    ['would-be denials before that', [...week, use(73, wouldDeny('policy.not-permitted'))], []],
    ['a forbid decides what it denies', [...week, use(1, wouldDeny('policy.forbidden', ['never']))], []],
    [
      'what --decided names is decided, and no other',
      [...week, use(1, wouldDeny('token.missing')), use(1, wouldDeny('action.unasked'))],
      ['would-be-denied: 1 call of the last 3 d would be denied for action.unasked, such as '],
      { decided: ['token.missing'] },
    ],
    ['an action that --decided names', [...week, use(1, wouldDeny('action.unasked'))], [], { decided: ['files.list'] }],
    [
      'calls for which there is no room: never ready by mistake',
      [...week, use(25, { action: 'one too many' })],
      ['not-told-apart: its calls differ more than there is room for'],
      { room: new Room(1) },
    ],
  ])('%s', (_name, records, expected, given = {}) => {
    const found = reasonsOf(records, given);
    expect(found).toHaveLength(expected.length);
    for (const [index, text] of expected.entries()) expect(found[index]).toContain(text);
  });

  // Issue 41, bad input: what is kept of a hostile ledger is bounded.
  it('keeps no example without room, short ones with it, and counts in both cases', () => {
    const long = { path: `/${'x'.repeat(3_000)}`, action: null, ...wouldDeny('action.unknown') };
    const denials = (room: Room) => onlyAgent([...week, use(1, long)], { room }).wouldBeDenied;
    expect(denials(new Room(1))).toMatchObject([{ reason: 'action.unknown', calls: 1, examples: [] }]);
    const [denied] = denials(new Room());
    expect(denied).toMatchObject({ calls: 1, examples: [{ what: expect.stringContaining('/xxx') }] });
    expect(denied?.examples[0]?.what).toHaveLength(512);
  });

  it('says what to do, by the kind of reason', () => {
    expect(helpOf('identity.missing')).toContain('give the agent a SPIFFE ID');
    expect(helpOf('action.unknown')).toContain('`remit learn`');
    expect(helpOf('policy.not-permitted')).toContain('forbid');
    expect(helpOf('policy.unavailable')).toBe(helpOf('overloaded'));
    expect(helpOf('overloaded')).toContain('a fault of Remit');
  });
});

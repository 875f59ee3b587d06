import { describe, expect, it } from '@jest/globals';
import { broken } from '../../../../src/core/ledger/proof/verdict.ts';
import { verdictText } from '../../../../src/tools/evidence/document/ledger-sections.ts';
import { markdownFrom } from '../../../../src/tools/evidence/document/markdown.ts';
import { documentOf } from '../../../../src/tools/evidence/document/report-document.ts';
import type { EvidenceReport, NamedCount, ReceivedSeen } from '../../../../src/tools/evidence/report.ts';
import { controlWith, reportWith, soundWith } from '../report-with.ts';

const markdownOf = (report: EvidenceReport): string => markdownFrom(documentOf(report));

/** The section of a heading: what lies below it, up to the next heading. */
const sectionOf = (report: EvidenceReport, heading: string): readonly string[] => {
  const lines = markdownOf(report).split('\n');
  const from = lines.indexOf(heading) + 1;
  expect(from).toBeGreaterThan(0);
  const to = lines.findIndex((line, at) => at >= from && line.startsWith('#'));
  return lines.slice(from, to === -1 ? undefined : to).filter((line) => line !== '');
};
const many = <T>(length: number, of: (n: number) => T): readonly T[] => Array.from({ length }, (_, n) => of(n));
const named = (n: number): NamedCount => ({ name: `agent-${n}`, count: 1, first: null, last: null });
const tables = many(51, named);
const log = (change: Partial<ReceivedSeen> = {}): ReceivedSeen => ({
  origin: 'tools/1',
  id: 'spiffe://acme.test/tools',
  state: 'left',
  atMs: null,
  anchored: 5,
  received: 5,
  pruned: 0,
  missing: 0,
  links: 0,
  unlinked: 0,
  verdict: soundWith(),
  counted: [{ from: 1, to: 5 }],
  ...change,
});
const policy = (id: string, isOpen: boolean | null) => ({ id, set: 's', count: 1, allowed: 1, isOpen, denied: [] });
const drawn = (isGiven: boolean) => markdownOf(reportWith({ seed: { text: 's', isGiven } }));

describe('documentOf', () => {
  it('says of each empty part that there is none', () => {
    const report = reportWith();
    expect(sectionOf(report, '## Policies')).toEqual(['none']);
    expect(sectionOf(report, '## Who acted')).toEqual(['none']);
    expect(sectionOf(report, '## Recorded arguments of allowed calls')).toEqual([
      'none: the catalog marks them `record: true`',
    ]);
    expect(sectionOf(report, '## Exceptions, with owner and end')).toEqual(['none']);
    expect(sectionOf(report, '## Oversight by people').at(-1)).toBe('none');
    expect(sectionOf(report, '## Ledger')).toEqual([
      '- origin: `remit.acme.test/main/0`, verified with the key `key`',
      '- verdict: whole',
      '- anchored: none; signed: none; bare: none; pruned: 0',
      '- head: no checkpoint yet',
      '- anchors: none were given',
    ]);
  });

  it('has the ranges, the last anchor and the remarks of a sound ledger', () => {
    const verdict = soundWith({
      anchored: { from: 3, to: 5 },
      bare: { from: 6, to: 6 },
      pruned: 2,
      remarks: [{ seq: 4, remark: 'the clock was *set*' }],
    });
    const anchors = [
      { size: 3, receivedAt: '2026-01-01T01:00:00.000Z' },
      { size: 5, receivedAt: null },
    ];
    const ledger = { ...reportWith().ledger, verdict, anchors, head: { size: 6, root: 'r' } };
    expect(sectionOf(reportWith({ ledger }), '## Ledger').slice(1)).toEqual([
      '- verdict: sound, with a bare tail',
      '- anchored: 3 to 5; signed: none; bare: 6 to 6; pruned: 2',
      '- head: 6 records, root `r`',
      '- anchors: 2, the last of 5 records, nobody noted when it was received',
      String.raw`- remark: record 4: the clock was \*set\*`,
    ]);
  });

  it('says of a broken ledger what was counted, and shows no ranges', () => {
    const ledger = { ...reportWith().ledger, verdict: broken('record', 7, 'was changed') };
    expect(sectionOf(reportWith({ ledger }), '## Ledger').slice(1, 3)).toEqual([
      '- verdict: BROKEN (record 7): was changed. Nothing below can be relied on beyond that',
      '- counted: only the records that were read before what is wrong was found',
    ]);
  });

  it('has no section of logs of sidecars unless they were asked for', () => {
    expect(markdownOf(reportWith())).not.toContain('## Logs of sidecars');
    expect(markdownOf(reportWith({ received: [] }))).toContain('## Logs of sidecars');
  });

  it.each<[string, Partial<ReceivedSeen>, string]>([
    ['lost', { state: 'lost' }, 'LOST: what it had not sent is gone'],
    ['short of records', { missing: 2, counted: [] }, '| none | 0 | 2 |'],
    ['broken', { verdict: broken('log', null, 'was cut') }, '| BROKEN (log): was cut.'],
  ])('lists a log that is %s first', (_name, change, text) => {
    const [, , , first] = sectionOf(reportWith({ received: [log(), log(change)] }), '## Logs of sidecars');
    expect(first).toContain(text);
  });

  it('has 50 rows of each table, and says how many more there are', () => {
    const args = many(52, (n) => ({ action: `a${n}`, argument: 'x', uses: 1, sum: null, largest: null }));
    const report = reportWith({ received: many(53, () => log()), agents: tables, args });
    expect(sectionOf(report, '## Agents').at(-1)).toBe('| 1 more | | | |');
    expect(sectionOf(report, '## Logs of sidecars').at(-1)).toBe('| 3 more | | | | | | |');
    expect(sectionOf(report, '## Recorded arguments of allowed calls').at(-1)).toBe('| 2 more | | | | |');
    expect(sectionOf(reportWith({ agents: tables.slice(1) }), '## Agents').at(-1)).toBe('| agent-50 | 1 | - | - |');
  });

  it('has three exceptions of a control in the overview, and 50 below', () => {
    const exceptions = many(51, (n) => ({ code: `c${n}`, count: 51 - n }));
    const report = reportWith({ controls: [controlWith({ exceptions })] });
    expect(sectionOf(report, '## Controls').at(-1)).toBe(
      '| AC-3 | enforces | evidenced | E3 1 | c0 51, c1 50, c2 49, 48 more |',
    );
    expect(sectionOf(report, '### AC-3: Access Enforcement')).toContainEqual(expect.stringMatching(/c49 2, 1 more$/));
  });

  it('names no exceptions and no policies of a control that it does not evidence', () => {
    const control = controlWith({
      coverage: 'none',
      state: 'not evidenced by this ledger',
      enforced: [],
      aliases: [{ id: 'X-1', source: 'unverified' }],
    });
    expect(sectionOf(reportWith({ controls: [control] }), '### AC-3: Access Enforcement')).toEqual([
      '- also asked for as X-1 (unverified)',
      '- no evidence: not evidenced by this ledger',
      '- limit: only calls through Envoy',
    ]);
  });

  it('marks a policy that permits everything, and a policy whose text is not here', () => {
    const control = controlWith({
      policies: [policy('all', true), policy('pay', false), policy('gone', null)],
      gaps: [{ code: 'open-permit', isWhole: false, text: 'policies that permit everything allowed 1 of 3 calls' }],
    });
    const section = sectionOf(reportWith({ controls: [control] }), '### AC-3: Access Enforcement');
    expect(section).toContain(
      '- decided by: all 1 (set `s`, allowed 1, **permits everything**), pay 1 (set `s`, allowed 1), gone 1 (set `s`, allowed 1, its text is not here)',
    );
    expect(section).toContain('- **gap**: policies that permit everything allowed 1 of 3 calls');
  });

  it('names the seed it was given, and the root of the head otherwise', () => {
    expect(drawn(true)).toContain('Drawn with the seed `s`: for');
    expect(drawn(false)).toContain('Drawn with the seed `s`, the root of the head: for');
  });

  it('says why a sampled record has no proof', () => {
    const of = { ref: 7, at: '2026-01-01T00:00:00.000Z', classes: ['E3' as const], what: 'a call' };
    const sample = [{ ...of, proof: null, why: 'no checkpoint covers it' }];
    expect(sectionOf(reportWith({ sample }), '### Record 7')).toEqual([
      '- 2026-01-01T00:00:00.000Z, for E3: a call',
      '- no proof: no checkpoint covers it',
    ]);
  });

  it.each([
    ['a table cell', 'a | b', String.raw`| a \| b |`],
    ['markup', '<b>[x](y)', String.raw`\<b\>\[x\](y)`],
    ['a line', 'a\n# b', 'a?# b'],
    ['a direction of text', 'a\u202eb', 'a?b'],
  ])('lets the name of an agent not end or become %s', (_name, name, shown) => {
    expect(markdownOf(reportWith({ agents: [{ ...named(1), name }] }))).toContain(shown);
  });

  it('fences a policy text with more marks than it has', () => {
    const files = [{ name: 'a.cedar', bytes: 20, text: 'permit\n```\n# not a heading\n````' }];
    const judged = { problem: 'it was not looked at' };
    const policySets = [
      { hash: 'h', decisions: 0, isInForce: true, loads: [], text: 'kept', files, judged, idle: null, results: [] },
    ];
    const text = markdownOf(reportWith({ policySets }));
    expect(text).toContain('\n`````text\npermit\n```\n# not a heading\n````\n`````\n');
  });
});

describe('verdictText', () => {
  it('has no place if none is known', () => {
    expect(verdictText(broken('log', null, 'is not there'))).toMatch(/^BROKEN \(log\): is not there\. /);
  });
});

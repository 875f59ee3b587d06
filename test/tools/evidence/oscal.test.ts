import { describe, expect, it } from '@jest/globals';
import { broken } from '../../../src/core/ledger/proof/verdict.ts';
import { oscalOf } from '../../../src/tools/evidence/oscal.ts';
import { tokenOf } from '../../../src/tools/evidence/oscal-values.ts';
import type { EvidenceReport } from '../../../src/tools/evidence/report.ts';
import { oscalProblems } from './oscal-schema.ts';
import { controlWith, reportWith, soundWith } from './report-with.ts';

const resultsOf = (change: Partial<EvidenceReport> = {}) => {
  const document = JSON.parse(JSON.stringify(oscalOf(reportWith(change))));
  expect(oscalProblems(document)).toEqual([]);
  return document['assessment-results'];
};
const propsOf = (change: Partial<EvidenceReport>) =>
  Object.fromEntries(
    resultsOf(change).results[0].props.map(({ name, value }: Record<string, string>) => [name, value]),
  );
const record = (ref: number | string, proof: string | null) => ({
  ref,
  at: '2026-01-01T00:00:00.000Z',
  classes: ['E3' as const],
  what: ' a call\n',
  proof,
  why: null,
});
// OSCAL wants at least one control.
const controls = [controlWith()];
const id = (change: Partial<EvidenceReport> = {}) => resultsOf({ controls, ...change }).uuid;

describe('oscalOf', () => {
  it('has the same ids for the same report, and others for another ledger or period', () => {
    const ledger = { ...reportWith().ledger, origin: 'remit.acme.test/main/1' };
    const ids = [id(), id({ ledger }), id({ from: '2025-01-01T00:00:00.000Z' })];
    expect([id(), new Set(ids).size]).toEqual([ids[0], 3]);
    for (const each of ids) expect(each).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it('reviews controls that have evidence, and no others', () => {
    const [result] = resultsOf({ controls: [...controls, controlWith({ id: 'AC-4', coverage: 'none' })] }).results;
    expect(result['reviewed-controls']['control-selections'][0]['include-controls']).toEqual([
      { 'control-id': 'ac-3' },
    ]);
    expect(result.observations).toHaveLength(2);
  });

  it('refers to the sampled records of a control that have a proof', () => {
    const sample = [record(7, 'a proof'), record('tools#8', null)];
    const { results, 'back-matter': matter } = resultsOf({
      sample,
      controls: [controlWith({ sample: [7, 'tools#8'] })],
    });
    const found = matter.resources.find(({ title }: Record<string, string>) => title?.startsWith('Record '));
    expect(results[0].observations[1]['relevant-evidence']).toEqual([
      { href: `#${found.uuid}`, description: 'Record 7, drawn at random, with its proof of inclusion.' },
    ]);
    expect(Buffer.from(found.base64.value, 'base64').toString()).toBe('a proof');
    expect([found.description, found.base64.filename]).toEqual(['a call?', 'record-7.tlog-proof']);
  });

  it('has no evidence of a control without a proof', () => {
    const [result] = resultsOf({ sample: [record(7, null)], controls: [controlWith({ sample: [7] })] }).results;
    expect(result.observations[1]).not.toHaveProperty('relevant-evidence');
  });

  it('has the text of each file of a policy set, but of no empty file and of none that is not here', () => {
    const files = ['a', '', null].map((text, n) => ({ name: `f${n}.cedar`, bytes: 1, text }));
    const judged = { problem: 'it was not looked at' };
    const policySets = [
      { hash: 'h', decisions: 1, isInForce: true, loads: [], text: 'kept', files, judged, idle: null, results: [] },
    ];
    const titles = resultsOf({ controls, policySets })['back-matter'].resources.map(
      ({ title }: { title: string }) => title,
    );
    expect(titles).toEqual(['No assessment plan', 'f0.cedar of the policy set h']);
  });

  it('names the last anchor, with the time it was received or that nobody knows it', () => {
    const at = (receivedAt: string | null) => {
      const anchors = [
        { size: 1, receivedAt: 'before' },
        { size: 5, receivedAt },
      ];
      return propsOf({ controls, ledger: { ...reportWith().ledger, anchors } })['last-anchor'];
    };
    expect([at('2026-01-02'), at(null)]).toEqual([
      '5 records, received 2026-01-02',
      '5 records, received at an unknown time',
    ]);
    expect(propsOf({ controls })).not.toHaveProperty('last-anchor');
  });

  it('observes each log of a sidecar, and a broken ledger', () => {
    const log = {
      origin: 'tools/1',
      id: 'spiffe://acme.test/tools',
      state: 'lost' as const,
      atMs: null,
      anchored: 5,
      received: 3,
      pruned: 0,
      missing: 2,
      links: 0,
      unlinked: 0,
      verdict: soundWith(),
      counted: [],
    };
    const ledger = { ...reportWith().ledger, verdict: broken('record', 7, 'was changed') };
    const [result] = resultsOf({ controls, ledger, received: [log] }).results;
    const [own, received] = result.observations.map(({ description }: { description: string }) => description);
    expect(own).toContain('BROKEN (record 7): was changed');
    expect(received).toBe('tools/1 of spiffe://acme.test/tools: whole; 2 records are missing');
  });

  it('has gaps, policies, what became of calls and what was proved of each control', () => {
    const policy = { id: 'pay', set: 'h', count: 3, allowed: 2, isOpen: false, denied: [{ action: 'a.b', count: 1 }] };
    const control = controlWith({
      state: 'evidenced in part',
      gaps: [{ code: 'unchecked', isWhole: false, text: 'calls\nwere not checked' }],
      policies: [policy],
      assurance: [{ set: 'h', isInForce: true, invariants: null, coverage: 80, survived: null }],
      uses: { allowed: 2, executed: 1, unanswered: 0, notSent: 0, withdrawn: 0, unknown: 1 },
    });
    const [result] = resultsOf({ controls: [control] }).results;
    const props = result.observations[1].props.map(({ name, value }: Record<string, string>) => [name, value]);
    expect(props).toEqual(
      expect.arrayContaining([
        ['state', 'evidenced in part'],
        ['gap', 'unchecked: calls?were not checked'],
        ['allowed', '1'],
        ['calls', '2 allowed: 1 executed, 1 without a recorded outcome'],
        ['policy', 'pay of h: decided 3, allowed 2, denied a.b 1'],
        ['assurance', 'h: no analysis; clause coverage 80 %; surviving mutants not known'],
      ]),
    );
  });

  it('observes each result as it was collected, each exception until its end, and acts of people', () => {
    const at = '2026-01-02T03:04:05.000Z';
    const analysis = {
      kind: 'analysis' as const,
      policySet: 'h',
      at,
      from: null,
      prover: { cedar: '4.14.1', cvc5: '1.4.2' },
      spec: { file: 's.cedar', sha256: 'x' },
      answers: [{ invariants: ['cap'], reason: null, action: 'a.b', verdict: 'proved' as const }],
    };
    const judged = { problem: 'unknown' };
    const policySets = [
      {
        hash: 'h',
        decisions: 1,
        isInForce: true,
        loads: [],
        text: 'kept',
        files: [],
        judged,
        idle: null,
        results: [analysis],
      },
    ];
    const heldExceptions = [
      {
        kind: 'observed' as const,
        id: 'legacy',
        set: 'h',
        about: 'a at b',
        owner: null,
        because: null,
        untilMs: Date.UTC(2027, 0, 31),
        isOver: false,
        calls: 7,
      },
    ];
    const oversight = [{ act: 'revoked a task', name: 'operator Ada', count: 2, first: null, last: null }];
    const [result] = resultsOf({ controls, policySets, heldExceptions, oversight }).results;
    const [proved, exception, acts] = result.observations.slice(-3);
    expect(proved).toMatchObject({
      methods: ['TEST'],
      collected: at,
      description: expect.stringContaining('1 proved'),
    });
    expect(exception).toMatchObject({ title: 'Exception: observed legacy', expires: '2027-01-31T00:00:00.000Z' });
    expect(exception.props[0]).toMatchObject({ name: 'owner', value: 'none named' });
    expect(acts.props).toMatchObject([{ name: 'act', value: 'revoked a task: 2, by operator Ada' }]);
  });

  it('has content in each resource, as NIST asks of back matter', () => {
    const { resources } = resultsOf({ controls })['back-matter'];
    expect(resources.every((resource: object) => 'base64' in resource)).toBe(true);
  });

  it('has no empty text, which OSCAL refuses, and no control character', () => {
    expect(propsOf({ controls, madeBy: ' \n ' })['made-by']).toBe('?');
    expect(propsOf({ controls, madeBy: ' ' })['made-by']).toBe('-');
  });
});

describe('tokenOf', () => {
  it.each([
    ['AC-6(9)', 'ac-6.9'],
    ['AC-3', 'ac-3'],
    ['PR.AA-05', 'PR.AA-05'],
    ['Article 12(1)', 'Article-12-1'],
    ['8.15', '_8.15'],
    ['(a)', 'a'],
    ['', '_'],
    ['日本', '日本'],
  ])('of `%s` is `%s`', (id, token) => {
    expect(tokenOf(id)).toBe(token);
  });
});

import { describe, expect, it } from '@jest/globals';
import { assuranceOf } from '../../../src/tools/evidence/assurance.ts';
import { markdownFrom } from '../../../src/tools/evidence/document/markdown.ts';
import { list } from '../../../src/tools/evidence/document/block.ts';
import { resultLines } from '../../../src/tools/evidence/document/result-lines.ts';
import type { PolicySetSeen } from '../../../src/tools/evidence/report.ts';
import { contradictionIn, setResultFrom, type SetResult } from '../../../src/tools/evidence/set-results.ts';
import { must } from '../../builders/must.ts';

const policySet = `sha-256:${'A'.repeat(43)}`;
const at = '2026-01-02T03:04:05.000Z';
const digest = 'B'.repeat(43);
const from = { file: 'r.json', sha256: digest };
const answer = (verdict: string, more: object = {}) => ({
  direction: 'invariant',
  action: 'payments.create',
  invariants: ['no-more'],
  reason: 'CHG-1',
  verdict,
  case: null,
  ...more,
});
const analysis = (findings: readonly object[], more: object = {}) => ({
  good: true,
  policySet,
  against: null,
  at,
  prover: { cedar: '4.14.1', cvc5: '1.4.2' },
  spec: { file: 'spec.cedar', sha256: digest },
  findings,
  ...more,
});
const tests = (more: object = {}) => ({
  good: true,
  policySet,
  at,
  remit: '1.0.0',
  isWhole: true,
  passed: 3,
  failed: 0,
  skipped: 1,
  cases: [],
  unlisted: { attempts: 9, allowed: [] },
  coverage: { percent: 80, points: 10, covered: 8, policies: [] },
  mutation: { mutants: 7, noticed: 5, unloadable: 0, survivors: [{}], accepted: [{}], uselessAccepts: [] },
  ...more,
});
const read = (written: object): SetResult => must(setResultFrom(written, from));

const assuranceWith = (...results: readonly SetResult[]) => {
  const judged = { problem: 'unknown' };
  const set: PolicySetSeen = {
    hash: policySet,
    decisions: 1,
    isInForce: true,
    loads: [],
    text: '',
    files: [],
    judged,
    idle: null,
    results,
  };
  return assuranceOf([set])[0];
};

const textOf = (...results: readonly SetResult[]) => markdownFrom([list(...resultLines(results))]);

describe('setResultFrom', () => {
  it('reads the invariants of an analysis, without comparisons beside them', () => {
    expect(read(analysis([answer('proved'), { direction: 'newly-allowed', action: 'a', verdict: 'refuted' }]))).toEqual(
      {
        kind: 'analysis',
        policySet,
        at,
        from,
        prover: { cedar: '4.14.1', cvc5: '1.4.2' },
        spec: { file: 'spec.cedar', sha256: digest },
        answers: [{ invariants: ['no-more'], reason: 'CHG-1', action: 'payments.create', verdict: 'proved' }],
      },
    );
  });

  it('reads the counts of a run of tests', () => {
    expect(read(tests())).toEqual({
      kind: 'tests',
      policySet,
      at,
      from,
      remit: '1.0.0',
      isWhole: true,
      passed: 3,
      failed: 0,
      skipped: 1,
      coverage: { percent: 80, points: 10, covered: 8 },
      unlisted: 0,
      mutation: { mutants: 7, noticed: 5, survived: 1, accepted: 1 },
    });
    expect(read(tests({ mutation: undefined, unlisted: null }))).toMatchObject({ mutation: null, unlisted: null });
  });

  it.each<[string, unknown, RegExp]>([
    ['no object', [], /^it must be what/],
    ['a result of an earlier version, which names no set', { ...tests(), policySet: undefined }, /policySet/],
    ['a hash of another form', tests({ policySet: 'sha-256:x' }), /policySet/],
    ['no instant', analysis([answer('proved')], { at: 'yesterday' }), /at/],
    ['a day that there is not', analysis([answer('proved')], { at: '2026-02-31T25:00:00.000Z' }), /at/],
    ['another verdict', analysis([answer('sure')]), /verdict/],
    ['a comparison alone', analysis([{ direction: 'newly-allowed', action: 'a', verdict: 'proved' }]), /no invariants/],
    ['no specification', analysis([answer('proved')], { spec: null }), /no invariants/],
    ['a negative count', tests({ failed: -1 }), /failed/],
    ['more than all of coverage', tests({ coverage: { percent: 101, points: 1, covered: 1 } }), /percent/],
  ])('refuses %s', (_name, written, problem) => {
    expect(setResultFrom(written, from)).toEqual({ problem: expect.stringMatching(problem) });
  });
});

describe('contradictionIn', () => {
  it.each<[string, object, string | null]>([
    ['proved and undecided invariants', analysis([answer('proved'), answer('undecided')]), null],
    ['a refuted invariant', analysis([answer('proved'), answer('refuted')]), 'refuted: `no-more`'],
    ['tests that pass', tests(), null],
    ['a failed test', tests({ failed: 2 }), '2 test cases failed'],
    [
      'an unlisted call that was allowed',
      tests({ unlisted: { attempts: 9, allowed: [{}] } }),
      '1 calls were allowed that no test case lists',
    ],
  ])('of %s', (_name, written, contradiction) => {
    expect(contradictionIn(read(written))).toBe(contradiction);
  });
});

describe('assuranceOf', () => {
  it('claims nothing without a result', () => {
    expect(assuranceWith()).toEqual({
      set: policySet,
      isInForce: true,
      invariants: null,
      coverage: null,
      survived: null,
    });
  });

  it('takes the worse of two results, so that none is made good by another', () => {
    const [good, bad] = [
      read(tests()),
      read(tests({ coverage: { percent: 20, points: 10, covered: 2 }, mutation: undefined })),
    ];
    const [proved, refuted] = [read(analysis([answer('proved')])), read(analysis([answer('refuted')]))];
    expect(assuranceWith(good, bad, refuted, proved)).toMatchObject({
      invariants: { proved: 0, refuted: 1, undecided: 0 },
      coverage: 20,
      survived: 1,
    });
  });

  it('takes no coverage of a part of the cases', () => {
    expect(assuranceWith(read(tests({ isWhole: false })))).toMatchObject({ coverage: null, survived: null });
  });
});

describe('resultLines', () => {
  it('says that there is no result', () => {
    expect(textOf()).toBe(
      '- analysed invariants: **none** for this set\n- coverage and mutation: **no result** for this set\n',
    );
  });

  it('has date, versions and source of each', () => {
    const text = textOf(read(analysis([answer('proved'), answer('undecided')])), read(tests({ isWhole: false })));
    expect(text).toContain(
      `1 proved, 0 refuted, 1 undecided; proved: no-more for payments.create (CHG-1); undecided: no-more for payments.create (CHG-1); made ${at} by Cedar's symbolic analysis 4.14.1 with cvc5 1.4.2, as the file r.json (SHA-256 ${digest}) says`,
    );
    expect(text).toContain(
      `clause coverage 80 % (8 of 10); of 7 mutants 5 were noticed, 1 survived, 1 are accepted; 3 test cases passed, 0 failed, 1 were skipped; 0 unlisted calls were allowed; **a part of the cases alone**; made ${at} by Remit 1.0.0`,
    );
  });
});

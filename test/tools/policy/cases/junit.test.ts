import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { junitXml } from '../../../../src/tools/policy/cases/junit.ts';
import type { CaseResult, SuiteResult } from '../../../../src/tools/policy/cases/run-suites.ts';
import { anyCharacter } from '../../../builders/any-character.ts';
import { planner } from './folder.ts';

const coverage = { policies: [], points: 0, covered: 0, percent: 100 };
const passed: CaseResult = {
  file: 'a.yaml',
  line: 2,
  column: 3,
  name: 'a',
  status: 'passed',
  messages: [],
  decision: 'allow by p',
};
const result = (cases: readonly CaseResult[], unlisted: SuiteResult['unlisted'] = null): SuiteResult => ({
  cases,
  unlisted,
  coverage,
});

describe('junitXml', () => {
  it('writes a suite for each file and a suite for what no case lists', () => {
    const failed = { ...passed, name: 'b & <c>', status: 'failed', messages: ['expected "deny"', 'and more'] } as const;
    const skipped = { ...passed, file: 'd.yaml', status: 'skipped', messages: ['not yet'] } as const;
    const allowed = [{ agent: planner, what: 'issue x', policyIds: ['p', 'q'], as: null }];
    expect(junitXml(result([passed, failed, skipped], { attempts: 2, allowed })))
      .toBe(`<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="remit policy test">
<testsuite name="a.yaml" tests="2" failures="1" skipped="0">
<testcase classname="a.yaml" name="a" file="a.yaml" line="2"/>
<testcase classname="a.yaml" name="b &amp; &lt;c&gt;" file="a.yaml" line="2">
<failure message="expected &quot;deny&quot;; and more">
a.yaml:2: expected &quot;deny&quot;; and more
</failure>
</testcase>
</testsuite>
<testsuite name="d.yaml" tests="1" failures="0" skipped="1">
<testcase classname="d.yaml" name="a" file="d.yaml" line="2">
<skipped message="not yet"/>
</testcase>
</testsuite>
<testsuite name="what no case lists" tests="1" failures="1" skipped="0">
<testcase classname="what no case lists" name="${planner} issue x">
<failure message="allowed by p, q"/>
</testcase>
</testsuite>
</testsuites>
`);
  });

  it('reports that unlisted attempts are denied', () => {
    expect(junitXml(result([], { attempts: 2, allowed: [] }))).toContain(
      '<testcase classname="what no case lists" name="is denied"/>',
    );
    expect(junitXml(result([]))).not.toContain('what no case lists');
  });

  it('writes only XML characters, and escapes names', () => {
    fc.assert(
      fc.property(fc.string({ unit: anyCharacter }), (name) => {
        const xml = junitXml(result([{ ...passed, name }]));
        // oxlint-disable-next-line no-control-regex -- characters that XML lacks
        expect(xml).not.toMatch(/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]|\p{Cs}/u);
        expect(xml.match(/<[^>]*>/g)).toHaveLength(6);
      }),
    );
  });
});

import { describe, expect, it } from '@jest/globals';
import { canaryChecks } from '../../../src/tools/doctor/canary/canary-check.ts';
import type { CanaryFacts } from '../../../src/tools/doctor/canary/canary-facts.ts';
import { NO_FACTS } from '../../../src/tools/doctor/facts.ts';

const foundBy = (canary: Omit<CanaryFacts, 'url'>): readonly string[] =>
  canaryChecks.flatMap(({ run }) =>
    (run({ ...NO_FACTS, canary: { url: 'https://tool.acme.test/', ...canary } }) ?? []).map(({ code }) => code),
  );

const DENIED = 'deny;reason=token.missing;id="d"';
const UNDECIDED = 'deny;reason=envoy.no-decision';

describe('a call without a token', () => {
  it.each<readonly [string, number, string, number | null, readonly string[]]>([
    ['denied by Remit', 401, DENIED, 1, []],
    ['denied, and Remit could not be asked', 401, DENIED, null, ['canary.unproven']],
    ['answered by the tool', 200, '', 1, ['canary.allowed']],
    ['answered by the tool with an error', 404, '', 1, ['canary.allowed']],
    ['answered by the tool with a header of its own', 500, 'allow', 1, ['canary.allowed']],
    ['answered by the tool with a denial of its own', 403, DENIED, 0, ['canary.not-asked']],
    ['answered without a check', 404, '', 0, ['canary.not-asked']],
    ['answered without a header, and Remit could not be asked', 404, '', null, ['canary.not-asked']],
    ['answered by Envoy in place of a decision', 503, UNDECIDED, 0, ['canary.not-reached']],
  ])('is judged if it is %s', (_what, status, decision, checks, codes) => {
    expect(foundBy({ status, decision, checks })).toEqual(codes);
  });
});

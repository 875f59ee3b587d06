import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { isDeny } from '../../../src/core/decision/decision.ts';
import { authorizationDetailsFrom } from '../../../src/core/token/authorization-details.ts';
import { taskClaimsFrom } from '../../../src/core/token/claims.ts';
import { isProblem } from '../../../src/core/runtime/problem.ts';
import { soundClaims } from '../../builders/tokens.ts';
import { must } from '../../builders/must.ts';

const read = (claims: object) => {
  const found = must(taskClaimsFrom(JSON.parse(JSON.stringify(claims)), { keyId: 'k' }));
  return found.token;
};

/** JSON of entries, from few values, so that many are equal or nearly equal. */
const entries = fc.array(
  fc.record({
    type: fc.constantFrom('"urn:remit:task"', 'null'),
    locations: fc.constantFrom('["https://a.test"]', '["https://a.test","https://b.test"]'),
    actions: fc.constantFrom('["a.read"]', '["a.*"]', '["a.read","a.write"]'),
    constraints: fc.constantFrom(
      '{}',
      '{"max_calls":1}',
      '{"max_calls":1e999}',
      '{"max_calls":null}',
      '{"__proto__":1}',
    ),
    purpose: fc.constantFrom('"a"', '"\\u0061"', '"b"'),
  }),
  { minLength: 1, maxLength: 2 },
);
const textOf = (list: readonly Readonly<Record<string, string>>[]): string => {
  const texts = list.map((entry) => Object.entries(entry).map(([name, value]) => `"${name}":${value}`));
  return `[${texts.map((members) => `{${members.join()}}`).join()}]`;
};

describe('taskClaimsFrom', () => {
  it('parses entries independently of earlier tokens', () => {
    fc.assert(
      fc.property(entries.map(textOf), (text) => {
        const details = authorizationDetailsFrom(JSON.parse(text));
        const claims = taskClaimsFrom({ ...soundClaims, authorization_details: JSON.parse(text) }, { keyId: 'k' });
        if (isProblem(details)) {
          expect(claims).toMatchObject({ detail: `claim \`authorization_details\` ${details.problem}` });
        } else expect(isDeny(claims) ? claims : claims.token.details).toEqual(details);
      }),
      { numRuns: 2_000 },
    );
  });

  it('interns equal entries of two tokens', () => {
    expect(read(soundClaims).details).toBe(read({ ...soundClaims, jti: 'another-token-of-these' }).details);
  });
});

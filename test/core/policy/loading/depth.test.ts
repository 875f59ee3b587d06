import { describe, expect, it } from '@jest/globals';
import { freshCedar } from '../../../../src/core/policy/cedar.ts';
import { cedarStatements } from '../../../../src/core/policy/cedar-text.ts';
import { MAX_POLICY_DEPTH, policyDepth } from '../../../../src/core/policy/loading/depth.ts';

const chain = (count: number, part: string, between: string) =>
  Array.from({ length: count + 1 }, () => part).join(between);
const when = (body: string) => `permit (principal, action, resource) when { ${body} };`;

/** Shapes with a size, and the smallest size that was measured to trap cedar-wasm 4.13. */
const shapes: readonly (readonly [string, (size: number) => string, number])[] = [
  ['parentheses', (size) => when(`${'('.repeat(size)}true${')'.repeat(size)}`), 140],
  ['sets', (size) => when(`${'['.repeat(size)}1${']'.repeat(size)} == [1]`), 127],
  ['records', (size) => when(`${'{a:'.repeat(size)}1${'}'.repeat(size)} == {a: 1}`), 101],
  ['calls within calls', (size) => when(`[1]${'.contains([1]'.repeat(size)}${')'.repeat(size)}`), 127],
  ['calls of calls', (size) => when(`context.now${'.offset(duration("1d"))'.repeat(size)} == context.now`), 305],
  ['and', (size) => when(chain(size, 'context.a == 1', ' && ')), 370],
  ['or', (size) => when(chain(size, 'context.a == 2', ' || ')), 370],
  ['sums', (size) => when(`${chain(size, '1', ' + ')} == 1`), 370],
  ['accesses', (size) => when(`context${'.b'.repeat(size)} == 1`), 370],
  ['indices', (size) => when(`context${'["b"]'.repeat(size)} == 1`), 370],
  ['else if', (size) => when(`${'if context.a == 2 then true else '.repeat(size)}true`), 370],
  ['if within if', (size) => when(`${'if ('.repeat(size)}true${') then true else false'.repeat(size)}`), 115],
  ['and in parentheses', (size) => when(`${'(context.a == 1 && '.repeat(size)}true${')'.repeat(size)}`), 127],
  ['clauses', (size) => `permit (principal, action, resource)${' when { context.a == 1 }'.repeat(size)};`, 370],
];

const depthOf = (text: string) => policyDepth(cedarStatements(text)[0]?.tokens ?? []);
const uid = (type: string) => ({ type, id: 'x' });

describe('policyDepth', () => {
  it.each(shapes)(
    'lets %s pass that the engine can take, and stops at half of what traps it',
    (_name, shape, traps) => {
      let largest = 1;
      while (depthOf(shape(largest + 1)) <= MAX_POLICY_DEPTH) largest += 1;
      expect(largest).toBeLessThan(traps / 2);
      const cedar = freshCedar();
      const text = shape(largest);
      cedar.policySetTextToParts(text);
      cedar.preparsePolicySet('p', { staticPolicies: { p: text } });
      const call = {
        principal: uid('A'),
        action: uid('Action'),
        resource: uid('R'),
        context: { a: 1 },
        entities: [],
        preparsedPolicySetId: 'p',
      };
      expect(cedar.statefulIsAuthorized(call).type).toBe('success');
    },
  );

  it('counts neither the length of a list nor what a string holds', () => {
    const list = chain(5000, '"(((("', ', ');
    expect(depthOf(when(`[${list}].contains("[[[[ && ||") // ((((((\n`))).toBeLessThan(20);
  });

  it('takes an ordinary long policy', () => {
    expect(depthOf(when(chain(50, '(context.args has a && context.args.a == "x")', ' || ')))).toBeLessThan(
      MAX_POLICY_DEPTH,
    );
  });
});

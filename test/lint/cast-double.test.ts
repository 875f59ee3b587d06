import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { isCastDouble } from '../../.ci/lint/cast-double.ts';

const root = resolve(import.meta.dirname, '../..');

const as = (
  expression: { readonly type: string },
  type: string,
): {
  readonly type: string;
  readonly expression: typeof expression;
  readonly typeAnnotation: { readonly type: string };
} => ({
  type: 'TSAsExpression',
  expression,
  typeAnnotation: { type },
});
const literal = { type: 'ObjectExpression' };
const name = { type: 'Identifier' };

/** Issue 41: three files broke when a type that they had doubles of got a member. */
describe('the lint rule remit/no-cast-double', () => {
  it.each([
    ['`{ … } as unknown as T`', as(as(literal, 'TSUnknownKeyword'), 'TSTypeReference'), true],
    ['`{ … } as never`', as(literal, 'TSNeverKeyword'), true],
    ['`{ … } as T`, which the compiler checks', as(literal, 'TSTypeReference'), false],
    ['`{ … } as const`', as(literal, 'TSTypeReference'), false],
    ['`name as unknown as T`', as(as(name, 'TSUnknownKeyword'), 'TSTypeReference'), false],
    ['`{ … } as unknown`', as(literal, 'TSUnknownKeyword'), false],
  ])('tells what %s is', (_name, node, isDouble) => {
    expect(isCastDouble(node)).toBe(isDouble);
  });

  it('is on for all tests but those named, whose number only falls', () => {
    const { overrides } = JSON.parse(readFileSync(join(root, '.oxlintrc.json'), 'utf8'));
    const named = overrides.find((one: { rules: object }) => Reflect.get(one.rules, 'remit/no-cast-double') === 'off');
    expect(named.files.length).toBeLessThanOrEqual(27);
  });
});

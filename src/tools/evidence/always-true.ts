/** Whether a clause of a policy holds for every request, as far as its text alone shows. */

import { NAMESPACE } from '../../core/policy/namespace.ts';

/** An expression in Cedar's JSON form. */
type Expression = Readonly<Record<string, unknown>>;

const isExpression = (value: unknown): value is Expression =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Whether a `when` or an `unless` in Cedar's JSON form never keeps its policy from matching: constants, comparisons of an expression with itself,
 * patterns of `*` alone, the type that every principal has, and a choice between a condition and its opposite. A condition in any other
 * disguise is not recognised.
 */
export const isIdleClause = ({ kind, body }: { readonly kind: string; readonly body: unknown }): boolean =>
  constantOf(body) === (kind === 'when');

/** The value of an expression that has the same for every request; `null` for any other. */
function constantOf(body: unknown): boolean | null {
  if (!isExpression(body)) return null;
  const [[operator, operand] = ['', null]] = Object.entries(body);
  return operators.get(operator)?.(operand) ?? null;
}

interface Pair {
  readonly left: unknown;
  readonly right: unknown;
}

const pairOf = (operand: unknown): Pair | null =>
  isExpression(operand) && 'left' in operand && 'right' in operand
    ? { left: operand['left'], right: operand['right'] }
    : null;

const areSame = (operand: unknown): boolean => {
  const pair = pairOf(operand);
  return pair !== null && JSON.stringify(pair.left) === JSON.stringify(pair.right);
};

const negated = (value: boolean | null): boolean | null => (value === null ? null : !value);

/** The entity type of every principal. */
export const AGENT_TYPE = `${NAMESPACE}::Agent`;

const operators: ReadonlyMap<string, (operand: unknown) => boolean | null> = new Map([
  ['Value', (operand) => (typeof operand === 'boolean' ? operand : null)],
  ['!', (operand) => negated(constantOf(isExpression(operand) ? operand['arg'] : null))],
  ['&&', (operand) => constantOfAll(operand, '&&')],
  ['||', (operand) => constantOfAll(operand, '||')],
  ['==', (operand) => (areSame(operand) ? true : null)],
  ['<=', (operand) => (areSame(operand) ? true : null)],
  ['>=', (operand) => (areSame(operand) ? true : null)],
  ['in', (operand) => (areSame(operand) ? true : null)],
  ['!=', (operand) => (areSame(operand) ? false : null)],
  ['<', (operand) => (areSame(operand) ? false : null)],
  ['>', (operand) => (areSame(operand) ? false : null)],
  ['like', (operand) => (isExpression(operand) && isEveryText(operand['pattern']) ? true : null)],
  ['is', isOwnType],
  ['if-then-else', chosen],
]);

/** A pattern of wildcards alone. */
const isEveryText = (pattern: unknown): boolean =>
  Array.isArray(pattern) && pattern.length > 0 && pattern.every((part) => part === 'Wildcard');

function isOwnType(operand: unknown): boolean | null {
  if (!isExpression(operand) || 'in' in operand) return null;
  const { left, entity_type: type } = operand;
  return isExpression(left) && left['Var'] === 'principal' && type === AGENT_TYPE ? true : null;
}

function chosen(operand: unknown): boolean | null {
  if (!isExpression(operand)) return null;
  const [then, other] = [constantOf(operand['then']), constantOf(operand['else'])];
  const condition = constantOf(operand['if']);
  if (condition !== null) return condition ? then : other;
  return then === other ? then : null;
}

/** `&&` is false if any part is, `||` is true if any part is, or if a part is the opposite of another. */
function constantOfAll(operand: unknown, operator: '&&' | '||'): boolean | null {
  const parts = partsOf({ [operator]: operand }, operator);
  const decisive = operator === '||';
  const values = parts.map(constantOf);
  if (values.includes(decisive)) return decisive;
  if (values.every((value) => value === !decisive)) return !decisive;
  const texts = new Set(parts.map((part) => JSON.stringify(part)));
  return parts.some((part) => oppositesOf(part).some((text) => texts.has(text))) ? decisive : null;
}

function partsOf(body: unknown, operator: '&&' | '||'): readonly unknown[] {
  const pair = isExpression(body) ? pairOf(body[operator]) : null;
  return pair === null ? [body] : [...partsOf(pair.left, operator), ...partsOf(pair.right, operator)];
}

/** The operators whose result is the opposite for the same operands. */
const OPPOSITES = new Map([
  ['==', '!='],
  ['!=', '=='],
  ['<', '>='],
  ['>=', '<'],
  ['>', '<='],
  ['<=', '>'],
]);

/** The opposite of an expression, as it may be written. */
function oppositesOf(body: unknown): readonly string[] {
  if (!isExpression(body)) return [];
  const [[operator, operand] = ['', null]] = Object.entries(body);
  const inner = operator === '!' && isExpression(operand) ? [operand['arg']] : [];
  const opposite = OPPOSITES.get(operator);
  const other = opposite === undefined ? [] : [{ [opposite]: operand }];
  return [{ '!': { arg: body } }, ...inner, ...other].map((each) => JSON.stringify(each));
}

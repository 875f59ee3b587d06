import { pathOf, expressionReads, recordExpression, touches } from './expression.ts';
import type { Path } from './expression.ts';

/** The effect of adding values to a set on an expression: `up` can make it true, `down` false. */
export type PolicyGrowth = 'up' | 'down' | 'both';

/** How an expression changes as the set at `value` grows; `null` if it does not read the set. */
export function growthBy(value: Path, expression: unknown): PolicyGrowth | null {
  if (!expressionReads(expression).some((path) => touches(path, value))) return null;
  const [[operator, operand] = ['', undefined]] = Object.entries(recordExpression(expression));
  const { left, right, arg, then, else: otherwise, if: test } = recordExpression(operand);
  const of = (...parts: readonly unknown[]): PolicyGrowth | null =>
    parts.map((part) => growthBy(value, part)).reduce<PolicyGrowth | null>(joined, null);
  const isSet = (part: unknown): boolean => isPath(part, value);
  const isRead = (part: unknown): boolean => growthBy(value, part) !== null;
  switch (operator) {
    case '&&':
    case '||':
      return of(left, right);
    case '!':
      return flipped(of(arg));
    case 'if-then-else':
      return isRead(test) ? 'both' : of(then, otherwise);
    case 'contains':
      return isSet(left) && !isRead(right) ? 'up' : 'both';
    case 'containsAny':
      return isSet(left) !== isSet(right) ? 'up' : 'both';
    case 'containsAll':
      if (isSet(left) && !isRead(right)) return 'up';
      return isSet(right) && !isRead(left) ? 'down' : 'both';
    case 'isEmpty':
      return isSet(arg) ? 'down' : 'both';
    default:
      return 'both';
  }
}

const isPath = (expression: unknown, value: Path): boolean => {
  const path = pathOf(expression);
  return path !== null && path.length === value.length && path.every((name, at) => name === value[at]);
};

const joined = (a: PolicyGrowth | null, b: PolicyGrowth | null): PolicyGrowth | null =>
  a === null || a === b ? b : b === null ? a : 'both';

const flipped = (growth: PolicyGrowth | null): PolicyGrowth | null =>
  growth === 'up' ? 'down' : growth === 'down' ? 'up' : growth;

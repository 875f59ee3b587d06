import { pathOf, recordExpression, visit } from './expression.ts';
import type { Path } from './expression.ts';

/** A text with which a policy compares a context value. */
export interface ComparedText {
  readonly path: Path;
  readonly text: string;
  /** For `like`: whether a value matches the pattern; `text` is the pattern as written. */
  readonly matches: ((value: string) => boolean) | null;
}

const BOTH_WAYS = new Set(['==', '!=', 'contains', 'containsAll', 'containsAny']);

/** All texts that a value is compared with, by `==`, `!=`, `like` or set membership. */
export function comparedTexts(expression: unknown): readonly ComparedText[] {
  const found: ComparedText[] = [];
  visit(expression, (operator, operand) => {
    const { left, right, pattern } = recordExpression(operand);
    const add = (of: unknown, texts: readonly string[]): void => {
      const path = pathOf(of);
      if (path !== null) found.push(...texts.map((text) => ({ path, text, matches: null })));
    };
    if (BOTH_WAYS.has(operator)) {
      add(left, textsIn(right));
      add(right, textsIn(left));
    }
    const path = operator === 'like' ? pathOf(left) : null;
    if (path !== null && Array.isArray(pattern)) found.push({ path, ...patternOf(pattern) });
  });
  return found;
}

/** Names tested with `has`, with their paths. */
export function askedFor(expression: unknown): readonly { readonly path: Path; readonly name: string }[] {
  const found: { readonly path: Path; readonly name: string }[] = [];
  visit(expression, (operator, operand) => {
    const { left, attr } = recordExpression(operand);
    const path = operator === 'has' ? pathOf(left) : null;
    if (path === null) return;
    const names = [attr].flat().filter((name) => typeof name === 'string');
    for (const [at, name] of names.entries()) found.push({ path: [...path, ...names.slice(0, at)], name });
  });
  return found;
}

/** Records searched for in the set at a path, each by its text members. */
export function lookedFor(expression: unknown, path: Path): readonly ReadonlyMap<string, string>[] {
  const found: ReadonlyMap<string, string>[] = [];
  visit(expression, (operator, operand) => {
    if (!operator.startsWith('contains')) return;
    const { left, right } = recordExpression(operand);
    if (pathOf(left)?.join('.') !== path.join('.')) return;
    const items = recordExpression(right)['Set'];
    for (const item of Array.isArray(items) ? items : [right]) {
      const members = Object.entries(recordExpression(recordExpression(item)['Record']));
      found.push(new Map(members.flatMap(([name, value]) => textsIn(value).map((text) => [name, text] as const))));
    }
  });
  return found;
}

/** Entities that an expression names. */
export function namedEntities(expression: unknown): readonly { readonly type: string; readonly id: string }[] {
  const found: { readonly type: string; readonly id: string }[] = [];
  visit(expression, (operator, operand) => {
    const { __entity: entity } = operator === 'Value' ? recordExpression(operand) : {};
    const { type, id } = recordExpression(entity);
    if (typeof type === 'string' && typeof id === 'string') found.push({ type, id });
  });
  return found;
}

function textsIn(expression: unknown): readonly string[] {
  const { Value: value, Set: items } = recordExpression(expression);
  if (typeof value === 'string') return [value];
  return [value, items].flatMap((list) => (Array.isArray(list) ? list.flatMap(textsOfItem) : []));
}

const textsOfItem = (item: unknown): readonly string[] => (typeof item === 'string' ? [item] : textsIn(item));

function patternOf(pattern: readonly unknown[]): Pick<ComparedText, 'text' | 'matches'> {
  const parts = pattern.map((part) => {
    const literal = recordExpression(part)['Literal'];
    return typeof literal === 'string' ? literal : null;
  });
  return {
    text: parts.map((literal) => (literal === null ? '*' : literal === '*' ? String.raw`\*` : literal)).join(''),
    matches: (value) => isMatch(value, parts),
  };
}

/** Whether a value consists of the literals in order, with any text for a wildcard (`null`). */
function isMatch(value: string, parts: readonly (string | null)[]): boolean {
  // Possible end positions of the parts so far: no backtracking, so no pattern is slow.
  let ends = new Set([0]);
  for (const part of parts) {
    const next = new Set<number>();
    for (const end of ends) {
      if (part === null) for (let at = end; at <= value.length; at += 1) next.add(at);
      else if (value.startsWith(part, end)) next.add(end + part.length);
    }
    ends = next;
  }
  return ends.has(value.length);
}

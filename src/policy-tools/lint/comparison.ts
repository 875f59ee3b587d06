import { pathOf, recordExpression, visit } from './expression.ts';
import type { Path } from './expression.ts';

/** A text that a policy compares a value of the context with. */
export interface ComparedText {
  readonly path: Path;
  readonly text: string;
  /** Set for `like`: whether a value would be matched by the pattern, which `text` is as it is written. */
  readonly matches: ((value: string) => boolean) | null;
}

const BOTH_WAYS = new Set(['==', '!=', 'contains', 'containsAll', 'containsAny']);

/** Every text that a value is compared with in an expression, by `==`, `!=`, `like` or as a member of a set. */
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

/** A name that `has` asks for at a path. */
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

/** The records that are looked for in the set at a path, each by those of its members that are texts. */
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
  return [value, items].flatMap((list) => (Array.isArray(list) ? list.flatMap(textOf) : []));
}

const textOf = (item: unknown): readonly string[] => (typeof item === 'string' ? [item] : textsIn(item));

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

/** Whether a value is the literals in their order, anything between them where a wildcard stands (`null`). */
function isMatch(value: string, parts: readonly (string | null)[]): boolean {
  // Positions that the parts so far can end at: no backtracking, so that no pattern takes long.
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

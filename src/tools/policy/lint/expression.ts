/** A node of Cedar's JSON format: an object with its operator as only key. */
type Expression = Readonly<Record<string, unknown>>;

/** The path of a value: `['context', 'intent', 'purpose']`. */
export type Path = readonly string[];

/** A value as an object; empty for anything else. Use it for names outside of the prototype: operators and operands. */
export const recordExpression = (value: unknown): Expression =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Expression) : {};

/** Visits an expression depth-first, outermost first. The depth was bounded when the policy was read. */
export function visit(expression: unknown, seen: (operator: string, operand: unknown) => void): void {
  if (Array.isArray(expression)) {
    for (const item of expression) visit(item, seen);
    return;
  }
  if (typeof expression !== 'object' || expression === null) return;
  const node = recordExpression(expression);
  for (const operator of Object.keys(node)) {
    const operand = node[operator];
    seen(operator, operand);
    // Letters of a pattern are not expressions.
    const { left, pattern } = operator === 'like' ? recordExpression(operand) : {};
    if (Array.isArray(pattern)) visit(left, seen);
    else if (operator !== 'Value') visit(operand, seen);
  }
}

/** The path that an expression reads; `null` if it is not a plain access of a variable. */
export function pathOf(expression: unknown): Path | null {
  const { Var: variable, '.': access } = recordExpression(expression);
  if (typeof variable === 'string') return [variable];
  const { left, attr } = recordExpression(access);
  const inner = typeof attr === 'string' ? pathOf(left) : null;
  return inner === null || typeof attr !== 'string' ? null : [...inner, attr];
}

/** All paths read or tested by `has`, without prefixes of longer paths. */
export function expressionReads(expression: unknown): readonly Path[] {
  const paths: Path[] = [];
  const read = (node: unknown): void => {
    const path = pathOf(node);
    if (path !== null) paths.push(path);
    else if (Array.isArray(node)) for (const item of node) read(item);
    else for (const [operator, operand] of Object.entries(recordExpression(node))) readOperand(operator, operand);
  };
  const readOperand = (operator: string, operand: unknown): void => {
    const { left, attr } = recordExpression(operand);
    const inner = operator === 'has' ? pathOf(left) : null;
    if (inner !== null) paths.push([...inner, ...[attr].flat().filter((name) => typeof name === 'string')]);
    else if (operator !== 'Value' && typeof operand === 'object') read(operand);
  };
  read(expression);
  return paths;
}

/** Whether a path reads a value, a part of it, or a record that contains it. */
export const touches = (path: Path, value: Path): boolean =>
  value.every((name, at) => path[at] === undefined || path[at] === name);

/** The operands of a chain of `&&` as JSON text, so that equal operands compare equal. */
export function conjuncts(expression: unknown): readonly string[] {
  const { '&&': both, Value: value } = recordExpression(expression);
  if (value === true) return [];
  const { left, right } = recordExpression(both);
  return both === undefined ? [JSON.stringify(expression)] : [...conjuncts(left), ...conjuncts(right)];
}

/** Of a syntax tree: its members are other nodes, lists of them, and plain values. */
type Tree = Readonly<Record<string, unknown>>;

const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null;

/** What a statement does instead of what follows it. */
const LEAVES: ReadonlySet<unknown> = new Set([
  'ReturnStatement',
  'ContinueStatement',
  'BreakStatement',
  'ThrowStatement',
]);

/**
 * Whether an `if` expects something of a test, nothing in an `else`, and goes on with what follows either way: if its condition never holds,
 * nobody notices that nothing was expected.
 *
 * @param node an `IfStatement` of ESTree
 */
export function mayNotExpect(node: object): boolean {
  const { consequent, alternate } = node as Tree;
  return (alternate ?? null) === null && expects(consequent) && !leaves(consequent);
}

function expects(node: unknown): boolean {
  if (Array.isArray(node)) return node.some(expects);
  if (!isTree(node)) return false;
  const called = node['type'] === 'CallExpression' && isTree(node['callee']) ? node['callee']['name'] : null;
  // A whole test is declared or not, which its name shows.
  if (called === 'it') return false;
  if (called === 'expect') return true;
  return Object.entries(node).some(([name, member]) => name !== 'parent' && expects(member));
}

function leaves(statement: unknown): boolean {
  if (!isTree(statement)) return false;
  const { body, type } = statement;
  return LEAVES.has(type) || (Array.isArray(body) && leaves(body.at(-1)));
}

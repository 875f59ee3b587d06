import { actionIds, itemsIn, memberOf } from './entry.ts';
import type { Entry, Imported } from './entry.ts';
import { argumentsFromSchema, shown } from './schema-arguments.ts';

/**
 * A server of the catalog from what its `tools/list` answers: the answer itself, its `result`, or the list in it. The risk is
 * what the server says of its tools, to be judged by who reviews it: `low` where one only reads, `high` where one destroys.
 * The problem where there are no tools in it.
 */
export function importedMcpTools(document: unknown, id: string): Imported | { readonly problem: string } {
  const result = memberOf(document, 'result') ?? document;
  const listed = itemsIn(Array.isArray(result) ? result : memberOf(result, 'tools'));
  if (listed.length === 0) return { problem: 'there are no `tools` in it' };
  const idFor = actionIds(id);
  const notes: string[] = [];
  const tools = new Map<string, Entry>();
  for (const tool of listed) {
    const name = memberOf(tool, 'name');
    if (typeof name !== 'string' || name === '' || tools.has(name)) {
      notes.push('a tool without a name of its own is left out');
      continue;
    }
    const { args, notes: more } = argumentsFromSchema(memberOf(tool, 'inputSchema'), undefined, { isOfTool: true });
    notes.push(...more.map((note) => `the tool \`${shown(name)}\`: ${note}`));
    const written = args.size === 0 ? {} : { args: Object.fromEntries(args) };
    tools.set(name, { action: idFor(name), risk: riskOf(memberOf(tool, 'annotations')), ...written });
  }
  return { server: { mcp: { path: '/mcp', tools: Object.fromEntries(tools) } }, notes };
}

function riskOf(annotations: unknown): string {
  if (memberOf(annotations, 'readOnlyHint') === true) return 'low';
  return memberOf(annotations, 'destructiveHint') === true ? 'high' : 'medium';
}

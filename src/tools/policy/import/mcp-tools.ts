import { toolPin } from '../../../core/action/mcp/tool-pin.ts';
import { isObject } from '../../../core/runtime/fields.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { Effort, EFFORT_SPENT } from './effort.ts';
import { itemsIn, memberOf, printableName } from './entry.ts';
import type { Entry, Imported, ImportOptions } from './entry.ts';
import { schemaReader } from './json-schema.ts';
import { argumentsFromSchema, limitNotes } from './schema-arguments.ts';
import type { Limited } from './schema-arguments.ts';
import { selected } from './selection.ts';

/**
 * Makes a server from an answer to `tools/list`, its `result`, or the list in it. The risk follows the server's annotations,
 * for the reviewer to judge: `low` for read-only tools, `high` for destructive tools. A problem if there are no tools, or
 * none is selected.
 */
export function importedMcpTools(document: unknown, options: ImportOptions): Imported | { readonly problem: string } {
  const result = memberOf(document, 'result') ?? document;
  const listed = itemsIn(Array.isArray(result) ? result : memberOf(result, 'tools'));
  if (listed.length === 0) return { problem: 'it has no `tools`' };
  const notes: string[] = [];
  const named = new Map<string, unknown>();
  for (const tool of listed) {
    const name = memberOf(tool, 'name');
    if (typeof name === 'string' && name !== '' && !named.has(name)) named.set(name, tool);
    else notes.push('a tool is left out: its name is missing or repeated');
  }
  const found = [...named].map(([name, tool]) => ({ key: name, name, names: [name], tool }));
  const chosen = selected(found, { what: 'tools', taken: [`${options.server}.mcp.session`] }, options);
  if ('problem' in chosen) return chosen;
  const tools = new Map<string, Entry>();
  const limited: (Limited & { readonly of: string })[] = [];
  const effort = new Effort();
  for (const { name, tool, id } of chosen.chosen) {
    const schema = memberOf(tool, 'inputSchema');
    const inTool = argumentsFromSchema(schema, schemaReader(schema, effort), { isOfTool: true, effort });
    if (effort.isSpent) return EFFORT_SPENT;
    notes.push(...inTool.notes.map((note) => `the tool \`${printableName(name)}\`: ${note}`));
    limited.push(...inTool.limited.map((one) => ({ ...one, of: name })));
    const written = inTool.args.size === 0 ? {} : { args: Object.fromEntries(inTool.args) };
    const closed = inTool.isClosed ? { otherArguments: 'deny' } : {};
    const tasks = TASKS.has(memberOf(memberOf(tool, 'execution'), 'taskSupport')) ? { tasks: true } : {};
    const pin = isObject(tool) ? toolPin(tool) : { problem: 'it is no object' };
    if (isProblem(pin)) notes.push(`the tool \`${printableName(name)}\` has no pin: ${pin.problem}`);
    const pinned = isProblem(pin) ? {} : { pin };
    const risk = riskOf(memberOf(tool, 'annotations'));
    tools.set(name, { action: id, risk, ...pinned, ...closed, ...tasks, ...written });
  }
  return {
    server: { mcp: { path: '/mcp', tools: Object.fromEntries(tools) } },
    notes: [...chosen.notes, ...limitNotes(limited), ...notes],
  };
}

/** Values with which a tool declares that its calls may become tasks, which the catalog must allow. */
const TASKS: ReadonlySet<unknown> = new Set(['optional', 'required']);

function riskOf(annotations: unknown): string {
  if (memberOf(annotations, 'readOnlyHint') === true) return 'low';
  return memberOf(annotations, 'destructiveHint') === true ? 'high' : 'medium';
}

import { isObject } from '../../../core/runtime/fields.ts';
import { toolPin } from '../../../core/action/mcp/tool-pin.ts';
import { isShown, type ListedTools } from '../../task/listed-tools.ts';

/**
 * A message of an MCP server as its client may see it. A list of tools keeps only the tools that the task may use, with the
 * limits of the task in their descriptions if the catalog asks for that. It loses pinned tools that differ from the reviewed
 * definition or are listed twice, and tools that two parsers would read differently. It never gains a tool. Any other message
 * stays as it is.
 *
 * A result with an array `tools` is a list whatever was asked and whatever else it has: an answer may come in place of another.
 *
 * @see https://modelcontextprotocol.io/specification/2025-11-25/server/tools
 */
export const shownList = (message: unknown, tools: ListedTools): unknown =>
  Array.isArray(message) ? message.map((one) => shownMessage(one, tools)) : shownMessage(message, tools);

/** As `shownList`, in JSON; `null` if it cannot be written: engines may need the stack for what is nested deeply. */
export function shownMessageText(message: unknown, tools: ListedTools): string | null {
  try {
    return JSON.stringify(shownList(message, tools));
  } catch {
    return null;
  }
}

function shownMessage(message: unknown, tools: ListedTools): unknown {
  if (!isToolListMessage(message)) return message;
  return withMembers(message, 'result', (result) => (isToolList(result) ? shownResult(result, tools) : result));
}

function shownResult(result: Members, tools: ListedTools): Members {
  const shown = withMembers(result, 'tools', (list) => (Array.isArray(list) ? shownTools(list, tools) : list));
  // What one task may see is not for others. @see MCP 2026-07-28, CacheableResult
  return result['cacheScope'] === 'public' ? { ...shown, cacheScope: 'private' } : shown;
}

function shownTools(list: readonly unknown[], tools: ListedTools): readonly unknown[] {
  const counts = new Map<unknown, number>();
  for (const tool of list) if (isObject(tool)) counts.set(tool['name'], (counts.get(tool['name']) ?? 0) + 1);
  return list.flatMap((tool) => {
    if (!isObject(tool) || typeof tool['name'] !== 'string' || !isShown(tools, tool['name'])) return [];
    if (Object.keys(tool).some(isOtherSpelling)) return [];
    const pin = tools.shown.get(tool['name'])?.pin;
    if (pin !== undefined && (counts.get(tool['name']) !== 1 || toolPin(tool) !== pin)) return [];
    const limits = tools.shown.get(tool['name'])?.limits ?? null;
    return limits === null ? [tool] : [{ ...tool, description: describedBy(tool['description'], limits) }];
  });
}

/** Whether a message answers with a list of tools, whatever else is in it: clients ignore what they do not know. A page of a list may be empty. */
export const isToolListAnswer = (message: unknown): boolean => [message].flat().some(isToolListMessage);

type Members = Readonly<Record<string, unknown>>;

const isToolListMessage = (message: unknown): message is Members =>
  isObject(message) && Object.entries(message).some(([name, value]) => isNamed(name, 'result') && isToolList(value));

const isToolList = (result: unknown): result is Members =>
  isObject(result) && Object.entries(result).some(([name, value]) => isNamed(name, 'tools') && Array.isArray(value));

const withMembers = (members: Members, named: string, changed: (value: unknown) => unknown): Members =>
  Object.fromEntries(
    Object.entries(members).map(([name, value]) => [name, isNamed(name, named) ? changed(value) : value]),
  );

/** Whether some parser takes a name for that of a member: those of Go and .NET may ignore the case of letters, and Go takes U+017F for an `s`. */
const isNamed = (name: string, member: string): boolean =>
  name.length === member.length && name.toLowerCase().replaceAll('\u017F', 's') === member.toLowerCase();

/** Members of a tool that a model reads. */
const READ = ['name', 'title', 'description', 'inputSchema', 'outputSchema', 'annotations'] as const;

/** Whether a name is another spelling of such a member: then it depends on the parser which of both the model reads. */
const isOtherSpelling = (name: string): boolean => READ.some((member) => name !== member && isNamed(name, member));

const describedBy = (description: unknown, limits: string): string =>
  typeof description === 'string' && description !== '' ? `${description}\n\n${limits}` : limits;

import { isObject } from '../../../core/runtime/fields.ts';
import { toolPin } from '../../../core/action/mcp/tool-pin.ts';
import { isShown, type ListedTools } from '../../task/listed-tools.ts';

/**
 * A message of an MCP server as its client may see it: if it answers with a list of tools, with those alone that the task may use, and with the
 * limits of the task in their descriptions if the catalog asks for that; without a pinned tool that is not as it was reviewed, whose description
 * nobody has read, or that is listed twice. Never a tool that the upstream does not list. Any other message, as it is.
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
  if (!isObject(message) || !isObject(message['result'])) return message;
  const { result } = message;
  if (!isToolList(result)) return message;
  const counts = new Map<unknown, number>();
  for (const tool of result.tools) if (isObject(tool)) counts.set(tool['name'], (counts.get(tool['name']) ?? 0) + 1);
  const shown = result.tools.flatMap((tool) => {
    if (!isObject(tool) || typeof tool['name'] !== 'string' || !isShown(tools, tool['name'])) return [];
    const pin = tools.shown.get(tool['name'])?.pin;
    if (pin !== undefined && (counts.get(tool['name']) !== 1 || toolPin(tool) !== pin)) return [];
    const limits = tools.shown.get(tool['name'])?.limits ?? null;
    return limits === null ? [tool] : [{ ...tool, description: describedBy(tool['description'], limits) }];
  });
  // What one task may see is not for others. @see MCP 2026-07-28, CacheableResult
  const scope = result['cacheScope'] === 'public' ? { cacheScope: 'private' } : {};
  return { ...message, result: { ...result, ...scope, tools: shown } };
}

/** Whether a message answers with a list of tools. A page of a list may be empty. */
export const isToolListAnswer = (message: unknown): boolean =>
  [message].flat().some((one) => isObject(one) && isToolList(one['result']));

type ToolList = Readonly<Record<string, unknown>> & { readonly tools: readonly unknown[] };

/** A result of a call has content, and is not a list whatever else it has. */
const isToolList = (result: unknown): result is ToolList =>
  isObject(result) && Array.isArray(result['tools']) && !('content' in result);

const describedBy = (description: unknown, limits: string): string =>
  typeof description === 'string' && description !== '' ? `${description}\n\n${limits}` : limits;

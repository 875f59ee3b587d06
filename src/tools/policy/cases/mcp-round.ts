import type { CatalogAction } from '../../../core/action/catalog/catalog.ts';
import type { ArgumentSpec } from '../../../core/action/catalog/catalog-arguments.ts';
import { objectMembers } from '../../../core/action/json-rpc.ts';
import { WITH_MCP_HEADERS } from '../../../core/action/mcp/mcp-headers.ts';

/** What an MCP request needs to answer questions of the server. Only the newest revision has such requests. */
export interface McpRound {
  readonly params: object;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** The parameters and headers of a request of the newest revision, which says so in both. */
export function mcpRoundOf({ args }: Pick<CatalogAction, 'args'>, method: string, params: object): McpRound {
  const members = new Map<string, unknown>(Object.entries(params));
  const meta = {
    'io.modelcontextprotocol/protocolVersion': WITH_MCP_HEADERS,
    'io.modelcontextprotocol/clientCapabilities': {},
    ...Object.fromEntries(objectMembers(members.get('_meta')) ?? []),
  };
  const sent = objectMembers(members.get('arguments')) ?? new Map<string, unknown>();
  return {
    params: { ...params, _meta: meta },
    headers: [
      ['mcp-protocol-version', WITH_MCP_HEADERS],
      ['mcp-method', method],
      ...args.flatMap((spec) => mirrorOf(spec, sent)),
    ],
  };
}

/** The header that mirrors an argument. */
function mirrorOf(spec: ArgumentSpec, sent: ReadonlyMap<string, unknown>): readonly (readonly [string, string])[] {
  const value = spec.from === 'body' && spec.header !== undefined ? sent.get(spec.name) : undefined;
  if (spec.from !== 'body' || spec.header === undefined || value === undefined) return [];
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const isPlain = /^[\x20-\x7e]*$/.test(text) && !text.startsWith('=?base64?');
  return [[`mcp-param-${spec.header}`, isPlain ? text : `=?base64?${Buffer.from(text).toString('base64')}?=`]];
}

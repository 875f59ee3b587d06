import type { Catalog, McpServer, Server } from './catalog.ts';

/** The MCP endpoint of a server of the catalog; `null` if it has none. */
export function mcpOfServer({ actions, find }: Pick<Catalog, 'actions' | 'find'>, server: Server): McpServer | null {
  for (const action of actions.values()) {
    if (action.server !== server || action.kind !== 'mcp') continue;
    const target = find(server, action.method, action.template.split('/').slice(1));
    return target?.kind === 'mcp' ? target.mcp : null;
  }
  return null;
}

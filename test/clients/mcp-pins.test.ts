import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { parse, stringify } from 'yaml';
import type { McpServer } from '../../src/core/action/catalog/catalog.ts';
import { mcpOfServer } from '../../src/core/action/catalog/mcp-of-server.ts';
import { toolChanges, toolChangeText } from '../../src/core/action/mcp/tool-changes.ts';
import { importedMcpTools } from '../../src/tools/policy/import/mcp-tools.ts';
import { mustCatalog } from '../builders/catalog.ts';
import { must } from '../builders/must.ts';
import { testFolders } from '../builders/test-folders.ts';
import { drawn } from '../drawn.ts';
import { clientPart, describeWith } from '../parts.ts';
import { thoroughly } from '../thoroughly.ts';
import { type ListedTool, listedOver, type StdioServer } from './stdio-tools.ts';
import { mutatedList } from './tool-mutations.ts';

/** Revisions by which a client of 2024 and one of today open a session. */
const CLIENTS = ['2024-11-05', '2025-11-25'] as const;
const MUTATIONS = thoroughly(10_000, 1_000);
/** Nothing else runs meanwhile. */
const atOnce = async (): Promise<void> => undefined;

const folder = testFolders();
const work = folder();

/** The servers of npm and PyPI; their keys open nothing, since listing tools asks nobody. */
const servers = (npm: string, python: string): ReadonlyMap<string, StdioServer> => {
  const npmServer = (name: string, args: readonly string[] = [], env: StdioServer['env'] = {}): StdioServer => ({
    command: join(npm, 'node_modules', '.bin', `mcp-server-${name}`),
    args,
    env,
    cwd: work,
  });
  const pythonServer = (name: string, ...args: readonly string[]): StdioServer => ({
    command: 'python3',
    args: ['-m', `mcp_server_${name}`, ...args],
    env: { PYTHONPATH: python },
    cwd: work,
  });
  return new Map([
    ['everything', npmServer('everything', ['stdio'])],
    ['filesystem', npmServer('filesystem', [work])],
    ['memory', npmServer('memory', [], { MEMORY_FILE_PATH: join(work, 'memory.json') })],
    ['sequential-thinking', npmServer('sequential-thinking')],
    ['github', npmServer('github', [], { GITHUB_PERSONAL_ACCESS_TOKEN: 'x' })],
    ['gitlab', npmServer('gitlab', [], { GITLAB_PERSONAL_ACCESS_TOKEN: 'x' })],
    ['slack', npmServer('slack', [], { SLACK_BOT_TOKEN: 'x', SLACK_TEAM_ID: 'x' })],
    ['brave-search', npmServer('brave-search', [], { BRAVE_API_KEY: 'x' })],
    ['google-maps', npmServer('google-maps', [], { GOOGLE_MAPS_API_KEY: 'x' })],
    ['everart', npmServer('everart', [], { EVERART_API_KEY: 'x' })],
    ['postgres', npmServer('postgres', ['postgresql://127.0.0.1:1/x'])],
    ['git', pythonServer('git')],
    ['time', pythonServer('time', '--local-timezone', 'UTC')],
    ['fetch', pythonServer('fetch')],
    ['calculator', pythonServer('calculator')],
  ]);
};

/** The server of a catalog as `remit policy import mcp-tools` makes it of a list. */
function imported(tools: readonly ListedTool[]): McpServer {
  // As the command reads it.
  const made = must(importedMcpTools(parse(JSON.stringify({ tools })), { server: 's', prefix: 's.', only: [] }));
  const head = { hosts: ['s.acme.test'], audience: 'https://s.acme.test' };
  const catalog = mustCatalog(
    stringify({ servers: { s: { ...head, ...made.server } } }, { aliasDuplicateObjects: false }),
  );
  const server = catalog.servers.get('s');
  const mcp = server === undefined ? null : mcpOfServer(catalog, server);
  if (mcp === null) throw new Error('the import has no MCP');
  return mcp;
}

// Issue 44, point 6.
describeWith(clientPart('mcp-servers-npm'), 'pins of 15 real MCP servers', (npm) => {
  describeWith(clientPart('mcp-servers-python'), 'of npm and PyPI', (python) => {
    const lists = new Map<string, readonly (readonly ListedTool[])[]>();
    beforeAll(async () => {
      mkdirSync(work, { recursive: true });
      for (const [name, server] of servers(npm, python)) {
        const seen: (readonly ListedTool[])[] = [];
        for (const revision of CLIENTS) seen.push(must(await listedOver(server, revision)));
        lists.set(name, seen);
      }
    }, 600_000);

    it('change with no client, and with no start of the server', async () => {
      const changed: string[] = [];
      let tools = 0;
      for (const [name, seen] of lists) {
        const [first = [], ...others] = seen;
        const mcp = imported(first);
        tools += mcp.pins.size;
        expect([name, mcp.pins.size]).toEqual([name, first.length]);
        for (const list of [first, ...others]) {
          const found = await toolChanges(list, mcp, atOnce);
          changed.push(...found.map((change) => `${name}: ${toolChangeText(change)}`));
        }
      }
      expect(changed).toEqual([]);
      expect(lists.size).toBe(15);
      expect(tools).toBeGreaterThan(90);
    });

    it(`change with each of ${MUTATIONS} mutations`, async () => {
      const { random: source, seed } = drawn();
      const random = (): number => source.next();
      const reviewed = Array.from(lists, ([name, [list = []]]) => ({ name, list, mcp: imported(list) }));
      const unseen: string[] = [];
      const kinds = new Set<string>();
      for (let n = 0; n < MUTATIONS; n += 1) {
        const of = reviewed[Math.floor(random() * reviewed.length)];
        if (of === undefined) continue;
        const { kind, list, tool } = mutatedList(of.list, random);
        kinds.add(kind);
        const found = await toolChanges(list, of.mcp, atOnce);
        if (!found.some((change) => change.tool === tool)) unseen.push(`${of.name} ${tool}: ${kind}`);
      }
      expect({ unseen, seed }).toEqual({ unseen: [], seed });
      expect(kinds.size).toBeGreaterThan(15);
    });
  });
});

/** `remit doctor --mcp URL`: compare the tools that an MCP server lists with the pins of a catalog. */
import { readFile } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { askedTools, type AskedWith } from '../authority/issuer/pins/ask-server.ts';
import type { Catalog, McpServer, Server } from '../core/action/catalog/catalog.ts';
import { mcpOfServer } from '../core/action/catalog/mcp-of-server.ts';
import { shownTool, toolChanges, toolChangeText } from '../core/action/mcp/tool-changes.ts';
import { toolDifference } from '../core/action/mcp/tool-difference.ts';
import { toolPin } from '../core/action/mcp/tool-pin.ts';
import { printable } from '../core/ledger/timeline-text.ts';
import { readPolicySource } from '../core/policy/loading/source.ts';
import { catalogOf } from '../core/policy/loading/source-catalog.ts';
import { isObject } from '../core/runtime/fields.ts';
import { isProblem, type Problem } from '../core/runtime/problem.ts';
import { errorCode } from '../core/runtime/system/error-code.ts';
import { DOCTOR_EXIT } from '../tools/doctor/report.ts';
import type { CommandIo } from './command.ts';
import { optionsFrom } from './options.ts';

/** The part of the help that says what `--mcp` does. */
export const DOCTOR_MCP_HELP = `  --mcp URL              ask this MCP server for its tools, and hold them against the pins of the catalog; nothing else is examined
    --policies FOLDER      the policy folder; default \`cedar-policies\`
    --server ID            the server of the catalog; default the one with the host of the URL, or the only one with pins
    --reviewed FILE        an answer to \`tools/list\` that was reviewed, to show what differs
    --cert, --key, --ca FILE
                           certificate and key to ask with, and trust anchors, PEM
    --json                 one object: server, tools, pinned, changes; each {tool, action, kind, now, other, note, differences}`;

const text = { type: 'string' } as const;

/** Asks the server, and prints each tool that is not as it was reviewed. Returns an exit code of `DOCTOR_EXIT`. */
export async function doctorMcp(args: readonly string[], io: Pick<CommandIo, 'out' | 'err'>): Promise<number> {
  const failed = (problem: string): number => {
    io.err(`remit doctor: ${problem}`);
    return DOCTOR_EXIT.couldNotRun;
  };
  const options = optionsFrom(
    args,
    {
      mcp: text,
      policies: { ...text, default: 'cedar-policies' },
      server: text,
      reviewed: text,
      cert: text,
      key: text,
      ca: text,
      json: { type: 'boolean', default: false },
    },
    0,
  );
  if (typeof options === 'string') return failed(options);
  const { values } = options;
  const url = URL.parse(values.mcp ?? '');
  if (url === null || !['https:', 'http:'].includes(url.protocol) || url.username !== '')
    return failed(`--mcp is the URL of an MCP server without user and password, got \`${values.mcp ?? ''}\``);
  if ((values.cert === undefined) !== (values.key === undefined)) return failed('--cert and --key belong together');
  const found = await pinnedServer(values.policies, { id: values.server ?? null, host: url.hostname });
  if (isProblem(found)) return failed(found.problem);
  const reviewed = values.reviewed === undefined ? [] : await listIn(values.reviewed);
  if (isProblem(reviewed)) return failed(reviewed.problem);
  const listed = await askedTools({ url: url.href, id: null }, () => tlsFrom(values));
  if (isProblem(listed))
    return failed(`\`${url.origin}\` could not be asked for its tools: ${printable(listed.problem)}`);
  const { id, mcp } = found;
  const changes = (await toolChanges(listed, mcp, nextTurn)).map((change) => {
    const before = named(reviewed, change.tool);
    const now = named(listed, change.other ?? change.tool);
    // A tool of `--reviewed` is what was reviewed only if it has the pin of the catalog.
    const isReviewed = before !== null && toolPin(before) === mcp.pins.get(change.tool);
    return Object.assign({ differences: isReviewed && now !== null ? toolDifference(before, now) : [] }, change);
  });
  if (values.json) io.out(JSON.stringify({ server: id, tools: listed.length, pinned: mcp.pins.size, changes }));
  else {
    for (const change of changes) {
      io.out(
        `action.changed  ${toolChangeText(change)}; calls of \`${change.action}\` are denied where \`issuer.toolPins\` looks`,
      );
      for (const { member, before, now } of change.differences)
        io.out(
          `  ${member}: ${before === null ? 'none' : `\`${printable(before)}\``} is ${now === null ? 'none' : `\`${printable(now)}\``} now`,
        );
      if (change.now !== null && change.kind === 'changed') io.out(`  once it is reviewed: pin: ${change.now}`);
    }
    const loose = [...mcp.tools.keys()].filter((name) => !mcp.pins.has(name));
    if (loose.length > 0) io.out(`without a pin: ${loose.map((name) => `\`${shownTool(name)}\``).join(', ')}`);
    io.out(
      `server \`${id}\` lists ${listed.length} tools; of ${mcp.pins.size} with a pin ${changes.length} are not as reviewed`,
    );
  }
  return changes.length > 0 ? DOCTOR_EXIT.errors : DOCTOR_EXIT.clean;
}

async function pinnedServer(
  folder: string,
  by: { readonly id: string | null; readonly host: string },
): Promise<{ readonly id: string; readonly mcp: McpServer } | Problem> {
  const source = await readPolicySource(folder);
  if ('unreadable' in source) return { problem: `the policy folder \`${folder}\`: ${source.unreadable}` };
  const catalog = 'findings' in source ? source : await catalogOf(source);
  if ('findings' in catalog) {
    const [first] = catalog.findings;
    return { problem: `\`${folder}\`: ${first?.file ?? ''}:${first?.line ?? 0}: ${first?.message ?? 'is invalid'}` };
  }
  const pinned = Array.from(catalog.servers.values()).flatMap((server) => withPins(catalog, server) ?? []);
  const [only, ...others] = by.id === null ? hostFirst(pinned, by.host) : pinned.filter(({ id }) => id === by.id);
  const names = pinned.map(({ id }) => `\`${id}\``).join(', ') || 'none';
  if (only === undefined)
    return {
      problem: `no server of \`${folder}\` ${by.id === null ? '' : `with the id \`${by.id}\` `}has a pin; servers with pins: ${names}`,
    };
  return others.length === 0 ? only : { problem: `choose a server with --server: ${names}` };
}

interface PinnedServer {
  readonly id: string;
  readonly hosts: ReadonlySet<string>;
  readonly mcp: McpServer;
}

function withPins(catalog: Catalog, server: Server): PinnedServer | null {
  const mcp = mcpOfServer(catalog, server);
  return mcp === null || mcp.pins.size === 0 ? null : { id: server.id, hosts: server.hosts, mcp };
}

/** The servers with this host; all servers if none has it. */
function hostFirst(pinned: readonly PinnedServer[], host: string): readonly PinnedServer[] {
  const same = pinned.filter(({ hosts }) => hosts.has(host));
  return same.length > 0 ? same : pinned;
}

async function tlsFrom(
  files: Partial<Readonly<Record<'cert' | 'key' | 'ca', string | undefined>>>,
): Promise<AskedWith | Problem> {
  const tls: Partial<Record<'cert' | 'key' | 'ca', string>> = {};
  for (const name of ['cert', 'key', 'ca'] as const) {
    const file = files[name];
    if (file === undefined) continue;
    try {
      tls[name] = await readFile(file, 'utf8');
    } catch (error) {
      return { problem: `--${name} \`${file}\` cannot be read: ${errorCode(error) ?? 'unknown error'}` };
    }
  }
  return tls;
}

/** The tools in a file: an answer to `tools/list`, its result, or the list in it. */
async function listIn(file: string): Promise<readonly unknown[] | Problem> {
  try {
    const document: unknown = JSON.parse(await readFile(file, 'utf8'));
    const result = isObject(document) && 'result' in document ? document['result'] : document;
    const list = isObject(result) ? result['tools'] : result;
    return Array.isArray(list) ? (list as readonly unknown[]) : { problem: `--reviewed \`${file}\` has no \`tools\`` };
  } catch (error) {
    return { problem: `--reviewed \`${file}\` cannot be read: ${errorCode(error) ?? 'it is no JSON'}` };
  }
}

const named = (tools: readonly unknown[], name: string): Readonly<Record<string, unknown>> | null =>
  tools.flatMap((tool) => (isObject(tool) && tool['name'] === name ? [tool] : []))[0] ?? null;

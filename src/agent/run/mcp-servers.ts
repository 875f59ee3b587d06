import { readFile, stat } from 'node:fs/promises';
import { isObject } from '../../core/runtime/fields.ts';
import { isProblem, type Problem } from '../../core/runtime/problem.ts';

/** The servers of a file for MCP hosts, by name, with all that their entries have. */
export type McpServers = ReadonlyMap<string, Readonly<Record<string, unknown>>>;

const MAX_BYTES = 1_048_576;

/** Reads a file `{"mcpServers": {NAME: {…}}}` of at most 1 MiB. Other members of the file are ignored. */
export async function mcpServersIn(file: string): Promise<McpServers | Problem> {
  const read = await readBounded(file).catch((error: NodeJS.ErrnoException) => ({
    problem: `it cannot be read: ${error.code ?? 'unknown error'}`,
  }));
  const servers = isProblem(read) ? read : serversFrom(read);
  return isProblem(servers) ? { problem: `--mcp-servers \`${file}\`: ${servers.problem}` } : servers;
}

async function readBounded(file: string): Promise<string | Problem> {
  const { size } = await stat(file);
  return size > MAX_BYTES ? { problem: `it has more than ${MAX_BYTES} bytes` } : readFile(file, 'utf8');
}

function serversFrom(text: string): McpServers | Problem {
  const servers = membersOf(text);
  if (servers === null) return { problem: 'expected JSON, `{"mcpServers": {…}}`' };
  const found = new Map<string, Readonly<Record<string, unknown>>>();
  for (const [name, entry] of Object.entries(servers)) {
    if (!isObject(entry) || !isEnvironment(entry['env']))
      return { problem: `the server \`${name}\` must be an object, and its \`env\` an object of texts` };
    found.set(name, entry);
  }
  return found;
}

function membersOf(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    const servers = isObject(value) ? value['mcpServers'] : null;
    return isObject(servers) ? servers : null;
  } catch {
    return null;
  }
}

const isEnvironment = (value: unknown): boolean =>
  value === undefined || (isObject(value) && Object.values(value).every((one) => typeof one === 'string'));

/**
 * Servers with the variables of a run in the `env` of each that is a program: the MCP SDKs start it with a short list of variables, and with
 * those of its entry. What the entry itself says wins.
 */
export function withVariables(servers: McpServers, variables: Readonly<Record<string, string>>): McpServers {
  const given = Array.from(servers, ([name, entry]) => {
    const { env } = entry;
    const own = isObject(env) ? env : {};
    return [name, typeof entry['command'] === 'string' ? { ...entry, env: { ...variables, ...own } } : entry] as const;
  });
  return new Map(given);
}

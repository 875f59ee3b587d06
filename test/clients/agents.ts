import { execFile } from 'node:child_process';
import { cp, mkdtemp, symlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ran } from '../e2e/process.ts';
import { clientFolder, type ClientName } from '../parts/clients.ts';

/** An agent as its users write it: a program of this folder that is told the URL of its tools in `TOOLS_URL`, and has no line for Remit. */
export interface AgentProgram {
  /** Of `python/` or `node/`. */
  readonly program: string;
  /** Its packages; null where the project has them as its own development dependencies. */
  readonly packages: ClientName | null;
}

/** What an agent needs of a trust domain. */
export interface AgentPlace {
  /** Has the SVID of the agent: `planner.pem`, `planner.key` and `bundle.pem`. */
  readonly folder: string;
  readonly issuer: string;
  /** A file with its intent. */
  readonly intent: string;
  /** Its tools, as `--forward` takes them after the name. */
  readonly upstream: string;
  /** What the program's URL ends in: a slash where its client looks for files below it. */
  readonly urlEnd: '' | '/';
  /** Its tools through Envoy, without a forwarder. */
  readonly direct: string;
  /** The model that it asks. */
  readonly modelUrl: string;
}

/** How an agent ended. */
export type AgentEnd = Awaited<ReturnType<typeof ran>>;

/** Runs an agent to its end below `remit run`, which is all that it needs: it gets a local URL for its tools. */
export const ranAgent = (agent: AgentProgram, place: AgentPlace): Promise<AgentEnd> =>
  ranBelow(agent, place, {
    options: ['--forward', `tools=${place.upstream}`],
    // Not as an argument, which other users of a machine can read.
    words: ['sh', '-c', `TOOLS_URL="$REMIT_FORWARD_TOOLS${place.urlEnd}" exec "$@"`, 'agent'],
    variables: {},
  });

/** Runs an agent that calls its tools itself, with a token and a certificate that it gets from `remit run`. */
export const ranByHand = (agent: AgentProgram, place: AgentPlace): Promise<AgentEnd> =>
  ranBelow(agent, place, {
    options: ['--svid-folder', join(place.folder, 'handed-over')],
    words: [],
    variables: { TOOLS_URL: place.direct },
  });

/** Runs an agent without `remit run`. A loaded machine takes a minute to import some of the frameworks. */
export async function ranAlone(
  agent: AgentProgram,
  { folder, url, modelUrl }: { readonly folder: string; readonly url: string; readonly modelUrl: string },
): Promise<AgentEnd> {
  const { command, environment } = await prepared(agent, folder);
  const [program = '', ...args] = command;
  const variables = { TOOLS_URL: url, OPENAI_BASE_URL: modelUrl, OPENAI_API_KEY: 'of-no-model' };
  const options = { env: { ...process.env, ...environment, ...variables }, timeout: 170_000 };
  return new Promise((settle) => {
    execFile(program, args, options, (error, out, err) =>
      settle({ code: error === null ? 0 : (error.code ?? error.signal ?? 'unknown'), out, err }),
    );
  });
}

async function ranBelow(
  agent: AgentProgram,
  { folder, issuer, intent, modelUrl }: AgentPlace,
  below: {
    readonly options: readonly string[];
    readonly words: readonly string[];
    readonly variables: Readonly<Record<string, string>>;
  },
): Promise<AgentEnd> {
  const { command, environment } = await prepared(agent, folder);
  const svid = { '--svid-cert': 'planner.pem', '--svid-key': 'planner.key', '--bundle': 'bundle.pem' };
  const files = Object.entries(svid).flatMap(([option, file]) => [option, join(folder, file)]);
  const options = ['--intent', intent, '--issuer', issuer, ...files, '--keep', 'OPENAI_API_KEY', ...below.options];
  return ran(['run', ...options, '--', ...below.words, ...command], {
    ...environment,
    ...below.variables,
    OPENAI_BASE_URL: modelUrl,
    OPENAI_API_KEY: 'of-no-model',
  });
}

/** The command of a program, and the variables by which it finds its packages. */
async function prepared({ program, packages }: AgentProgram, scratch: string) {
  const folder = packages === null ? resolve(import.meta.dirname, '../..') : clientFolder(packages);
  if (program.endsWith('.py')) {
    const file = join(import.meta.dirname, 'python', program);
    return { command: ['python3', file], environment: { PYTHONPATH: folder } };
  }
  // Node looks for packages in the folders above a program, so this one is copied to where its packages are.
  const beside = await mkdtemp(join(scratch, 'program-'));
  await cp(join(import.meta.dirname, 'node'), beside, { recursive: true });
  await symlink(join(folder, 'node_modules'), join(beside, 'node_modules'));
  // Where mcp-remote keeps what it knows of servers, in place of the home folder.
  const environment = { MCP_REMOTE_CONFIG_DIR: join(beside, 'mcp-remote') };
  return { command: [process.execPath, join(beside, program)], environment };
}

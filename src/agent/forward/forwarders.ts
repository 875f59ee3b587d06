import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DenialStyle } from '../../core/action/denial-style.ts';
import { PRIVATE_MODE } from '../../core/runtime/system/private-file.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import { isProblem, type Problem } from '../../core/runtime/problem.ts';
import type { Handover } from '../task/handover.ts';
import { type McpServers, withVariables } from '../run/mcp-servers.ts';
import type { OwnSvid } from '../run/own-svid.ts';
import { isIssuerProblem } from '../task/issuer-problem.ts';
import type { ListedTools } from '../task/listed-tools.ts';
import type { ProofKey } from '../task/proof-key.ts';
import type { TokenKeeper } from '../task/token-keeper.ts';
import { forwardVariables } from './forward-option.ts';
import type { ForwardTarget } from './forward-target.ts';
import type { Forwarded } from './forwarded.ts';
import { type Admit, type AdmittedRequest, ForwardListener } from './local/listener.ts';
import { gated, type LocalGate } from './local/local-gate.ts';
import { isInMesh, meshProblem, meshRouteTo } from './upstream/mesh-connection.ts';
import { LocalUrls } from './local/local-urls.ts';
import { defaultUpstreamBounds, type UpstreamBounds, UpstreamConnections } from './upstream/upstream-connections.ts';

/** What forwarders need of a run. */
export interface ForwardersOptions {
  /** Further servers for the file for MCP clients; `null` without any. */
  readonly mcpServers: McpServers | null;
  /** The other variables of the run, which those servers get too. */
  readonly variables: Handover['variables'];
  readonly svid: Pick<OwnSvid, 'now' | 'onChange'>;
  /** The keeper of the task that is for a resource. */
  readonly keeperOf: (resource: string) => Pick<TokenKeeper, 'current' | 'another'>;
  /** The tools that lists of an upstream may show in its task. Default: nothing is hidden. */
  readonly listedOf?: (resource: string, taskId: string) => Promise<ListedTools | null>;
  /** How an upstream answers denied calls; `null` if that is not known yet. Default: never known. */
  readonly denialsOf?: (resource: string) => DenialStyle | null;
  /** The key to which the tokens are bound. Default none: that is the certificate. */
  readonly proofKey?: ProofKey | null;
  readonly ports: Pick<Ports, 'randomBytes'>;
  readonly tell: (line: string) => void;
  /** Called with the private folder once it exists, so that it is removed whatever happens. */
  readonly onFolder: (folder: string) => void;
  readonly bounds?: UpstreamBounds;
}

/** Bytes of the secret in a local URL: 256 bits. */
const SECRET_BYTES = 32;

/**
 * Opens a local address for each upstream: a port of 127.0.0.1 and a Unix socket in a private folder, with a file for MCP
 * clients that lists the URLs and the further servers. A failure undoes the others.
 */
export async function openForwarders(
  targets: readonly ForwardTarget[],
  options: ForwardersOptions,
): Promise<Handover | Problem> {
  const { mcpServers } = options;
  if (targets.length === 0 && mcpServers === null) return { variables: {}, close: async () => undefined };
  const twice = targets.find(({ name }) => mcpServers?.has(name) === true);
  if (twice !== undefined)
    return { problem: `--mcp-servers has a server \`${twice.name}\`, as --forward does: name one of them otherwise` };
  // mkdtemp makes it with mode 0700.
  const folder = await mkdtemp(join(tmpdir(), 'remit-run-')).catch((error: NodeJS.ErrnoException) => ({
    problem: `no private folder can be made in \`${tmpdir()}\`, which TMPDIR names: ${error.code ?? 'unknown error'}`,
  }));
  if (isProblem(folder)) return folder;
  options.onFolder(folder);
  const open: Handover[] = [];
  const localUrls = new LocalUrls();
  const close = async (): Promise<void> => {
    await Promise.all(open.map((one) => one.close()));
    await rm(folder, { recursive: true, force: true });
  };
  try {
    for (const target of targets) {
      const forwarder = await openForwarder(target, { ...options, folder, localUrls });
      if (isProblem(forwarder)) {
        await close();
        return { problem: `--forward \`${target.name}\`: ${forwarder.problem}` };
      }
      open.push(forwarder);
    }
    const file = join(folder, 'mcp.json');
    const variables = Object.assign({}, ...open.map((one) => one.variables), {
      REMIT_MCP_SERVERS: file,
    }) as Handover['variables'];
    const local = targets.map(({ name }): [string, Readonly<Record<string, unknown>>] => {
      const [variable] = forwardVariables(name);
      return [name, { type: 'http', url: variables[variable] }];
    });
    const further = withVariables(mcpServers ?? new Map(), { ...options.variables, ...variables });
    const servers = Object.fromEntries([...local, ...further]);
    await writeFile(file, JSON.stringify({ mcpServers: servers }, null, 2), { mode: PRIVATE_MODE });
    return { variables, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openForwarder(
  target: ForwardTarget,
  {
    svid,
    keeperOf,
    proofKey = null,
    ports,
    tell,
    folder,
    localUrls,
    bounds = defaultUpstreamBounds,
    ...tools
  }: ForwardersOptions & { readonly folder: string; readonly localUrls: LocalUrls },
): Promise<Handover | Problem> {
  if (isInMesh(target)) {
    // Only a warning: the sidecar may become ready later, and each connection is checked anyway.
    const problem = await meshProblem(meshRouteTo(target, bounds), bounds);
    if (problem !== null) tell(`${target.name}: no call can be made yet: ${problem}`);
  }
  const authorities = await authoritiesIn(target);
  if (isProblem(authorities)) return authorities;
  const path = join(folder, `${target.name}.sock`);
  const tcp = await ForwardListener.open({ port: target.port });
  if (isProblem(tcp)) return tcp;
  const socket = await ForwardListener.open({ path });
  if (isProblem(socket)) {
    await tcp.close();
    return socket;
  }
  const secret = Buffer.from(ports.randomBytes(SECRET_BYTES)).toString('base64url');
  localUrls.add({ port: tcp.port, secret, target });
  const connections = new UpstreamConnections(target, { svid, bounds, authorities });
  const keeper = keeperOf(target.resource);
  let isTold = false;
  const forwarded: Forwarded = {
    target,
    connections,
    bounds,
    localUrls,
    proofKey,
    current: () => keeper.current(),
    another: (refused) => keeper.another(refused),
    ...toolsOf(target, keeper, tools),
    onOwnAuthorization: () => {
      if (!isTold)
        tell(`${target.name}: a client sends an Authorization of its own; it is replaced by the task's token`);
      isTold = true;
    },
  };
  const gate = { kind: 'tcp', port: tcp.port, secret: Buffer.from(secret, 'utf8') } as const;
  tcp.serve(admitting(gate, { forwarded, prefix: `/${secret}` }));
  socket.serve(admitting({ kind: 'socket' }, { forwarded, prefix: '' }));
  const [urlVariable, socketVariable] = forwardVariables(target.name);
  return {
    variables: { [urlVariable]: `http://127.0.0.1:${tcp.port}/${secret}`, [socketVariable]: path },
    close: async () => {
      connections.close();
      await Promise.all([tcp.close(), socket.close()]);
    },
  };
}

/** What the issuer says of the tools of an upstream, if it is asked. */
const toolsOf = (
  target: ForwardTarget,
  keeper: Pick<TokenKeeper, 'current'>,
  { denialsOf, listedOf }: Pick<ForwardersOptions, 'listedOf' | 'denialsOf'>,
): Pick<Forwarded, 'listed' | 'denials'> => ({
  ...(listedOf === undefined ? {} : { listed: listedIn(target, keeper, listedOf) }),
  ...(denialsOf === undefined ? {} : { denials: () => denialsOf(target.resource) }),
});

/** Asks for the tools of the task whose token is kept; `null` if it has no token any more. */
const listedIn =
  (
    { resource }: ForwardTarget,
    keeper: Pick<TokenKeeper, 'current'>,
    listedOf: NonNullable<ForwardersOptions['listedOf']>,
  ) =>
  async (): Promise<ListedTools | null> => {
    const credential = await keeper.current();
    return isIssuerProblem(credential) ? null : listedOf(resource, credential.taskId);
  };

/** Admits to one upstream the requests that pass a gate. */
function admitting(gate: LocalGate, to: Pick<AdmittedRequest, 'forwarded' | 'prefix'>): Admit {
  return (request) => {
    const passed = gated(request, gate);
    return 'status' in passed ? passed : { ...passed, ...to };
  };
}

/** The PEM text of the `ca` file of an upstream; empty without a file. A problem if it cannot be read or has no certificate. */
export async function authoritiesIn({ authorities }: ForwardTarget): Promise<readonly string[] | Problem> {
  if (typeof authorities === 'string') return [];
  const text = await readFile(authorities.file, 'utf8').catch((error: NodeJS.ErrnoException) => ({
    problem: `the CA file \`${authorities.file}\` cannot be read: ${error.code ?? 'unknown error'}`,
  }));
  if (isProblem(text)) return text;
  return text.includes('-----BEGIN CERTIFICATE-----')
    ? [text]
    : { problem: `the CA file \`${authorities.file}\` has no certificate in PEM` };
}

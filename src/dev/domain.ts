import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { configFrom, configProblemText } from '../core/config/config.ts';
import { anyPath } from '../core/config/writable-path.ts';
import type { Ports } from '../core/runtime/ports.ts';
import { startRemit } from '../serve/remit.ts';
import type { Remit } from '../serve/remit.ts';
import type { LineSink } from '../core/telemetry/decision-log.ts';
import type { SpiffeId } from '../core/identity/spiffe-id.ts';
import { Agent } from './agent.ts';
import { AnyServer } from './any-server.ts';
import { createAuthority, writeBundle, writeCredential } from './authority.ts';
import type { CertificateAuthority } from './authority.ts';
import { isBinaryProblem } from './envoy-binary.ts';
import type { BinaryProblem } from './envoy-binary.ts';
import { envoyConfigWithFiles, shippedEnvoyConfig } from '../tools/init/envoy-config.ts';
import type { HostPort } from '../tools/init/envoy-config.ts';
import { EnvoyProcess } from './envoy.ts';
import { DEFAULT_TRUST_DOMAIN } from './plan.ts';
import { withServers } from '../tools/init/server-routes.ts';
import type { RoutedServer } from '../tools/init/server-routes.ts';
import type { Stage } from './story.ts';
import { ToolServer } from './upstream.ts';

/** Options of a throw-away trust domain. */
export interface DomainOptions {
  /** An empty folder for certificates, sockets and state, which the caller removes. Its path must be at most 80 bytes. */
  readonly folder: string;
  /** Envoy's binary. */
  readonly envoy: string;
  /** The policy folder. */
  readonly policies: string;
  /** The accepted trust domain. Default `acme.test`. */
  readonly trustDomain?: string;
  /** Further agents with an SVID, by file name. Default none. */
  readonly agents?: ReadonlyMap<string, SpiffeId>;
  /** Further servers with routes in Envoy, which may replace the two tool servers. Default none. */
  readonly servers?: readonly RoutedServer[];
  readonly ports: Ports;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Sections of the configuration, merged over the required sections, one level deep. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** The server for `files.acme.test`. Default: a tool server of its own. */
  readonly filesServer?: HostPort;
  /** Edits the shipped Envoy configuration before it is used. */
  readonly envoyConfig?: (shipped: string) => string;
  /** Destination of Envoy's spans, OTLP over gRPC. Default: that of the shipped configuration. */
  readonly collector?: HostPort;
  /** Destination of the decision log, if the settings enable it. */
  readonly stdout?: LineSink;
  /** Called with log lines of Remit. */
  readonly log: (line: string) => void;
}

/** Names of the workloads with an SVID in the folder. */
const WORKLOADS = ['planner', 'reporter', 'thief'] as const;

/**
 * A throw-away trust domain. It has a CA, SVIDs for two agents, a thief and a stranger from another domain, two tool servers, a
 * server for the rest of the catalog, Envoy with the shipped configuration, and Remit. Everything listens on loopback or a Unix
 * socket.
 *
 * Lifecycle: `start` returns a running domain, or a problem after which nothing is left running; `stop` ends everything.
 */
export class DevDomain {
  readonly stage: Stage;
  readonly remit: Remit;
  /** Signs for the accepted trust domain. */
  readonly authority: CertificateAuthority;
  /** The payments server, with the calls it received. */
  readonly payments: ToolServer;
  /** Files and addresses for people, as name and value. */
  readonly places: ReadonlyMap<string, string>;
  readonly #stop: () => Promise<void>;

  private constructor(
    parts: Pick<DevDomain, 'stage' | 'remit' | 'authority' | 'payments' | 'places'>,
    stop: () => Promise<void>,
  ) {
    this.stage = parts.stage;
    this.remit = parts.remit;
    this.authority = parts.authority;
    this.payments = parts.payments;
    this.places = parts.places;
    this.#stop = stop;
  }

  static async start(options: DomainOptions): Promise<DevDomain | BinaryProblem> {
    const stops: (() => Promise<void>)[] = [];
    const stop = async (): Promise<void> => {
      for (const end of stops.splice(0).reverse()) await end();
    };
    try {
      const domain = await build(options, stops);
      if (isBinaryProblem(domain)) await stop();
      return isBinaryProblem(domain) ? domain : new DevDomain(domain, stop);
    } catch (error) {
      await stop();
      throw error;
    }
  }

  stop(): Promise<void> {
    return this.#stop();
  }
}

type Parts = Pick<DevDomain, 'stage' | 'remit' | 'authority' | 'payments' | 'places'>;

async function build(options: DomainOptions, stops: (() => Promise<void>)[]): Promise<Parts | BinaryProblem> {
  const { trustDomain = DEFAULT_TRUST_DOMAIN } = options;
  const acme = await createAuthority(trustDomain, options.ports);
  const other = await createAuthority(trustDomain === 'other.test' ? 'another.test' : 'other.test', options.ports);
  const files = await writeFiles(options, acme, other);
  const remit = await startConfigured(options, files.config);
  if (isBinaryProblem(remit)) return remit;
  stops.push(() => remit.close());
  const payments = await ToolServer.start('payments');
  stops.push(() => payments.close());
  const envoy = await startEnvoy(options, { files, payments, stops });
  if (isBinaryProblem(envoy)) return envoy;
  const workloads = await workloadsOf(options, { acme, other, stops });
  if ('problem' in workloads) return workloads;
  const issuerPort = remit.issuerPort ?? 0;
  return {
    remit,
    authority: acme,
    payments,
    stage: {
      envoyPort: envoy.address.port,
      issuerPort,
      issuerHost: `localhost:${issuerPort}`,
      ...workloads,
      lastDecision: () => payments.received().at(-1)?.headers['x-remit-decision']?.toString(),
    },
    places: new Map([
      ['folder', options.folder],
      ['configuration', files.config],
      ['envoy', `https://127.0.0.1:${envoy.address.port}`],
      ['admin of envoy', `unix:${envoy.adminSocket}`],
      ['issuer', `https://localhost:${issuerPort}`],
      ['readiness', `http://127.0.0.1:${remit.adminPort}/readyz`],
      ['state', join(options.folder, 'state.db')],
    ]),
  };
}

/** Starts Envoy with the shipped configuration, in front of the tool servers and a server for the rest of the catalog. */
async function startEnvoy(
  { envoy: binary, servers = [], envoyConfig = (text) => text, filesServer, collector }: DomainOptions,
  {
    files,
    payments,
    stops,
  }: {
    readonly files: Awaited<ReturnType<typeof writeFiles>>;
    readonly payments: ToolServer;
    readonly stops: (() => Promise<void>)[];
  },
): Promise<EnvoyProcess | BinaryProblem> {
  const filesAddress = filesServer ?? (await startFiles(stops));
  const upstream = await AnyServer.start();
  stops.push(() => upstream.close());
  const shipped = withServers(envoyConfig(await shippedEnvoyConfig()), servers, upstream.address);
  const envoy = await EnvoyProcess.start({
    binary,
    config: (adminSocket) =>
      envoyConfigWithFiles(
        shipped,
        {
          listener: { host: '127.0.0.1', port: 0 },
          adminSocket,
          remitSocket: files.checkSocket,
          payments: payments.address,
          files: filesAddress,
          collector: collector ?? null,
        },
        files.envoy,
      ),
  });
  if (!isBinaryProblem(envoy)) stops.push(() => envoy.stop());
  return envoy;
}

/** The agents of the story, and the SVIDs of further agents in the folder. */
async function workloadsOf(
  { folder, trustDomain = DEFAULT_TRUST_DOMAIN, agents = new Map() }: DomainOptions,
  {
    acme,
    other,
    stops,
  }: {
    readonly acme: CertificateAuthority;
    readonly other: CertificateAuthority;
    readonly stops: (() => Promise<void>)[];
  },
): Promise<Pick<Stage, 'planner' | 'reporter' | 'thief' | 'stranger'> | BinaryProblem> {
  const agentOf = async (authority: CertificateAuthority, path: string): Promise<Agent> => {
    const svid = await authority.svid(path);
    if (authority === acme) await writeCredential(folder, path.split('/').at(-1) ?? '', svid);
    const agent = new Agent(svid, acme.bundlePem);
    stops.push(async () => agent.close());
    return agent;
  };
  const [planner, reporter, thief] = await Promise.all(WORKLOADS.map((name) => agentOf(acme, `/ns/agents/sa/${name}`)));
  const stranger = await agentOf(other, '/ns/agents/sa/planner');
  if (planner === undefined || reporter === undefined || thief === undefined) return { problem: 'no agents were made' };
  for (const [name, id] of agents) {
    const path = id.slice(`spiffe://${trustDomain}`.length);
    if (path !== '' && !WORKLOADS.some((one) => one === name))
      await writeCredential(folder, name, await acme.svid(path));
  }
  return { planner, reporter, thief, stranger };
}

async function startFiles(stops: (() => Promise<void>)[]): Promise<HostPort> {
  const files = await ToolServer.start('files');
  stops.push(() => files.close());
  return files.address;
}

async function startConfigured(
  { folder, ports, environment, log, stdout }: DomainOptions,
  file: string,
): Promise<Remit | BinaryProblem> {
  const read = configFrom(await readFile(file, 'utf8'), { file, folder, environment });
  if ('problems' in read) return { problem: read.problems.map(configProblemText).join('\n') };
  return startRemit(read.value, {
    ports,
    environment,
    log,
    ...(stdout === undefined ? {} : { stdout }),
    onFatal: (detail) => log(`fatal: ${detail}`),
    // A private throw-away domain: its policies are often in a folder that a team shares.
    guard: anyPath,
  });
}

async function writeFiles(
  { folder, policies, servers = [], settings = {} }: DomainOptions,
  acme: CertificateAuthority,
  other: CertificateAuthority,
) {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const gateway = await writeCredential(
    folder,
    'gateway',
    await acme.svid('/gateway', {
      dns: [
        ...new Set(['localhost', 'payments.acme.test', 'files.acme.test', 'tickets.acme.test', ...hostsOf(servers)]),
      ],
      ips: ['127.0.0.1'],
    }),
  );
  const remit = await writeCredential(
    folder,
    'remit',
    await acme.svid('/remit', { dns: ['localhost', 'issuer.acme.test'], ips: ['127.0.0.1'] }),
  );
  const bundle = await writeBundle(folder, 'bundle', acme);
  const strangers = await writeBundle(folder, 'other-bundle', other);
  const checkSocket = join(folder, 'check.sock');
  const config = join(folder, 'remit.yaml');
  const needed: Readonly<Record<string, unknown>> = {
    trustDomains: [acme.trustDomain],
    extAuthz: { listen: `unix:${checkSocket}` },
    svid: { ...remit, bundle },
    issuer: { listen: '127.0.0.1:0', url: 'https://issuer.acme.test', signingKey: 'signing-key.pem' },
    admin: { listen: '127.0.0.1:0' },
    policies,
    state: 'sqlite:state.db',
  };
  await writeFile(config, stringify(mergedOver(needed, settings)), { mode: 0o600 });
  // INVARIANT: Envoy admits the other domain, so that Remit refuses it, with a reason.
  const bundles = new Map([
    [acme.trustDomain, bundle],
    [other.trustDomain, strangers],
  ]);
  return { config, checkSocket, envoy: { ...gateway, bundles } };
}

const MAX_NAMES = 256;

/** Names for Envoy's certificate, limited so that it fits a TLS handshake. */
const hostsOf = (servers: readonly RoutedServer[]): readonly string[] =>
  servers.flatMap(({ hosts }) => hosts).slice(0, MAX_NAMES);

const isSection = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function mergedOver(below: Readonly<Record<string, unknown>>, above: Readonly<Record<string, unknown>>): object {
  const sections = Object.entries(above).map(([name, value]) => {
    const under = below[name];
    return [name, isSection(value) && isSection(under) ? { ...under, ...value } : value] as const;
  });
  return { ...below, ...Object.fromEntries(sections) };
}

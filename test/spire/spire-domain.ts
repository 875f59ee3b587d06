import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parse, stringify } from 'yaml';
import { isBinaryProblem } from '../../src/dev/envoy-binary.ts';
import { envoyConfigWithSpire, shippedSpireConfig } from '../../src/tools/init/envoy-config.ts';
import { EnvoyProcess } from '../../src/dev/envoy.ts';
import { ToolServer } from '../../src/dev/upstream.ts';
import { firstSvid } from '../../src/core/identity/first-svid.ts';
import { WorkloadApiSource } from '../../src/core/identity/workload-api.ts';
import { workloadApiTargetFrom } from '../../src/core/identity/workload-api-address.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { startRemit, type Remit } from '../../src/serve/remit.ts';
import { after } from '../../src/core/runtime/timers.ts';
import { withTimeForChecks } from '../dev/time-for-checks.ts';
import type { SpireBinaries } from '../parts.ts';
import { Spire } from './spire.ts';
import { must } from '../builders/must.ts';
import { mustSpiffeId } from '../builders/spiffe-id.ts';
import { mustConfig } from '../builders/config.ts';
import { freePort } from '../free-port.ts';

/** What a domain on SVIDs from SPIRE is made from. */
export interface SpireDomainOptions {
  readonly spire: SpireBinaries;
  readonly envoy: string;
  readonly binding: 'certificate' | 'spiffe-id';
  /** Lifetime of everybody's X509-SVIDs. Of 20 s, backdated by 10 s, the agent renews each after about 5 s. */
  readonly ttlSeconds: number;
  /** How Envoy asks Remit. Default `socket`. */
  readonly asks?: 'socket' | 'network';
  /** The SPIFFE ID that Envoy takes Remit for, over the network. Default that of Remit. */
  readonly remitId?: string;
}

const planner = '/ns/agents/sa/planner';
const gateway = '/ns/gateway/sa/envoy';
const sidecar = '/ns/remit/sa/remit';

/**
 * Everything on SVIDs from a real SPIRE: Envoy with the shipped configuration, Remit with its issuer, a tool server, and the
 * source of the planner's SVID. Lifecycle: `start` gives one that answers or throws with nothing left; `stop` once.
 */
export class SpireDomain {
  readonly remit: Remit;
  readonly envoy: EnvoyProcess;
  readonly payments: ToolServer;
  /** The planner's own source. */
  readonly planner: WorkloadApiSource;
  /** What Remit and the sources said. */
  readonly log: readonly string[];
  readonly #stop: () => Promise<void>;

  private constructor(parts: Parts, stop: () => Promise<void>) {
    this.remit = parts.remit;
    this.envoy = parts.envoy;
    this.payments = parts.payments;
    this.planner = parts.planner;
    this.log = parts.log;
    this.#stop = stop;
  }

  static async start(options: SpireDomainOptions): Promise<SpireDomain> {
    const stops: (() => Promise<void> | void)[] = [];
    const stop = async (): Promise<void> => {
      for (const end of stops.splice(0).reverse()) await end();
    };
    try {
      return new SpireDomain(await build(options, stops), stop);
    } catch (error) {
      await stop();
      throw error;
    }
  }

  get issuerPort(): number {
    return this.remit.issuerPort ?? 0;
  }

  stop(): Promise<void> {
    return this.#stop();
  }
}

type Parts = Pick<SpireDomain, 'remit' | 'envoy' | 'payments' | 'planner' | 'log'>;

async function build(options: SpireDomainOptions, stops: (() => Promise<void> | void)[]): Promise<Parts> {
  const { ttlSeconds, asks = 'socket', remitId = `spiffe://acme.test${sidecar}` } = options;
  const folder = await mkdtemp(join(tmpdir(), 'remit-spire-'));
  stops.push(() => rm(folder, { recursive: true, force: true }));
  const spire = await Spire.start(options.spire);
  stops.push(() => spire.stop());
  await spire.register(planner, { ttlSeconds });
  await spire.register(sidecar, { ttlSeconds, dns: ['localhost'] });
  const gatewayId = await spire.register(gateway, { ttlSeconds, dns: ['payments.acme.test'] });

  const log: string[] = [];
  const sourceOf = (path: string): WorkloadApiSource => {
    const source = sourceFor(spire, path, (problem) => log.push(`${path}: ${problem}`));
    stops.push(() => source.close());
    return source;
  };
  const plannerSource = sourceOf(planner);
  await arrived(plannerSource);

  const port = await freePort();
  const extAuthz =
    asks === 'socket' ? { listen: `unix:${checkSocket(folder)}` } : { listen: `0.0.0.0:${port}`, callers: gatewayId };
  const remit = await remitOn(spire, { binding: options.binding, extAuthz, folder, log });
  stops.push(() => remit.close());
  const payments = await ToolServer.start('payments');
  stops.push(() => payments.close());
  const shipped = withTimeForChecks(await shippedSpireConfig());
  const network = await readFile(resolve(import.meta.dirname, '../../deploy/envoy/envoy-network.yaml'), 'utf8');
  const envoy = await EnvoyProcess.start({
    binary: options.envoy,
    config: (adminSocket) => {
      const config = envoyConfigWithSpire(
        shipped,
        {
          listener: { host: '127.0.0.1', port: 0 },
          adminSocket,
          remitSocket: checkSocket(folder),
          payments: payments.address,
          files: payments.address,
          collector: null,
        },
        { socket: spire.workloadSocket, id: gatewayId, trustDomain: spire.trustDomain },
      );
      return asks === 'socket' ? config : askingOverNetwork(config, { port, remitId, network });
    },
  });
  if (isBinaryProblem(envoy)) throw new Error(envoy.problem);
  stops.push(() => envoy.stop());
  return { remit, envoy, payments, planner: plannerSource, log };
}

const checkSocket = (folder: string): string => join(folder, 'check.sock');

const placeOfRemit = (clusters: readonly { readonly name: string }[]): number =>
  clusters.findIndex(({ name }) => name === 'remit');

/** The configuration with the cluster `remit` of the shipped envoy-network.yaml. SVIDs are short: so are its connections. */
function askingOverNetwork(
  text: string,
  { port, remitId, network }: { readonly port: number; readonly remitId: string; readonly network: string },
): string {
  const config = parse(text);
  const { clusters } = config.static_resources;
  const shipped = parse(network).static_resources.clusters;
  const remit = shipped[placeOfRemit(shipped)];
  remit.type = 'STATIC';
  remit.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address = {
    address: '127.0.0.1',
    port_value: port,
  };
  const [options] = Object.values<{ common_http_protocol_options: { max_connection_duration: string } }>(
    remit.typed_extension_protocol_options,
  );
  if (options !== undefined) options.common_http_protocol_options.max_connection_duration = '2s';
  const { combined_validation_context: validation } = remit.transport_socket.typed_config.common_tls_context;
  validation.default_validation_context.match_typed_subject_alt_names[0].matcher.exact = remitId;
  clusters[placeOfRemit(clusters)] = remit;
  return stringify(config, { aliasDuplicateObjects: false });
}

function sourceFor(spire: Spire, path: string, report: (problem: string) => void): WorkloadApiSource {
  const onProblem = (problem: string | null): void => void (problem !== null && report(problem));
  const target = workloadApiTargetFrom(`unix://${spire.workloadSocket}`);
  const id = mustSpiffeId(`spiffe://${spire.trustDomain}${path}`);
  if (typeof target !== 'string') throw new Error('no source of an svid');
  return new WorkloadApiSource({ target, id, hint: null, ports: systemPorts, after, onProblem });
}

async function arrived(source: WorkloadApiSource): Promise<void> {
  must(await firstSvid(source, { withinMs: 60_000, after }));
}

/** Remit with its SVID from the agent itself, over the Workload API. */
async function remitOn(
  spire: Spire,
  { folder, binding, extAuthz, log }: { folder: string; binding: string; extAuthz: object; log: string[] },
): Promise<Remit> {
  const settings = {
    trustDomains: ['acme.test'],
    extAuthz: { ...extAuthz, binding },
    svid: { workloadApi: `unix://${spire.workloadSocket}`, id: `spiffe://acme.test${sidecar}` },
    issuer: { listen: '127.0.0.1:0', url: 'https://issuer.acme.test', signingKey: 'signing-key.pem' },
    admin: { listen: '127.0.0.1:0' },
    policies: resolve(import.meta.dirname, '../../cedar-policies'),
    state: 'sqlite:state.db',
  };
  const onLine = (line: string): void => void log.push(line);
  return must(
    await startRemit(mustConfig(stringify(settings), { folder }), {
      ports: systemPorts,
      environment: {},
      log: onLine,
      onFatal: onLine,
    }),
  );
}

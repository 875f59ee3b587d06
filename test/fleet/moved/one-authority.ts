import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { Agent } from '../../../src/dev/agent.ts';
import { createAuthority, writeBundle, writeCredential } from '../../../src/dev/authority.ts';
import { envoyConfigWithFiles, shippedEnvoyConfig } from '../../../src/tools/init/envoy-config.ts';
import { EnvoyProcess } from '../../../src/dev/envoy.ts';
import { ToolServer } from '../../../src/dev/upstream.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { withTimeForChecks } from '../../dev/time-for-checks.ts';
import { tokenRequest } from '../../../src/dev/issuer-request.ts';
import { examples } from '../../e2e/domain.ts';
import { remit } from '../../e2e/process.ts';
import type { Running } from '../../e2e/process.ts';
import { until } from '../../until.ts';

const AUDIENCE = 'https://payments.acme.test';
/** The name by which the sidecar knows its authority. */
const NAME = 'remit-authority.remit.svc';
const PORT = 9_474;
const ISSUER_PORT = 8_443;
const ADMIN_PORTS = { authority: 9_475, sidecar: 9_476 } as const;

/**
 * An authority on a state file, known to one sidecar by a name, and an Envoy before the sidecar: real processes, in a network of their own.
 *
 * Lifecycle: `start`; `serveAuthority` at an address; `serveSidecar`; `stop`.
 */
export class OneAuthority {
  readonly agent: Agent;
  readonly #folder: string;
  readonly #envoy: EnvoyProcess;
  readonly #stops: (() => unknown)[];
  readonly #settings: Readonly<Record<string, unknown>>;
  readonly #environment: Readonly<Record<string, string>>;
  #authority: Running | null = null;
  #sidecar: Running | null = null;

  private constructor(
    parts: {
      readonly folder: string;
      readonly agent: Agent;
      readonly envoy: EnvoyProcess;
      readonly drainSeconds: number;
    },
    settings: Readonly<Record<string, unknown>>,
    stops: (() => unknown)[],
  ) {
    this.agent = parts.agent;
    this.#folder = parts.folder;
    this.#envoy = parts.envoy;
    this.#settings = settings;
    this.#environment = { REMIT_DRAIN_SECONDS: String(parts.drainSeconds) };
    this.#stops = stops;
  }

  /** @param leaseSeconds `null`: the default */
  static async start(
    envoy: string,
    folder: string,
    { leaseSeconds, drainSeconds }: { readonly leaseSeconds: number | null; readonly drainSeconds: number },
  ): Promise<OneAuthority> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await cp(examples, join(folder, 'policies'), { recursive: true });
    // It reads the history in every use, so that every use would be settled.
    await rm(join(folder, 'policies', 'policies', 'history.cedar'));
    const acme = await createAuthority('acme.test', systemPorts);
    const names = { dns: ['localhost', 'payments.acme.test'], ips: ['127.0.0.1'] };
    const gateway = await writeCredential(folder, 'gateway', await acme.svid('/gateway', names));
    const served = await writeCredential(folder, 'authority', await acme.svid('/authority', names));
    const own = await writeCredential(folder, 'tools', await acme.svid('/ns/pay/sa/tools-1'));
    const bundle = await writeBundle(folder, 'bundle', acme);
    const payments = await ToolServer.start('payments');
    const files = await ToolServer.start('files');
    const socket = join(folder, 'check.sock');
    const addresses = {
      listener: { host: '127.0.0.1', port: 0 },
      remitSocket: socket,
      payments: payments.address,
      files: files.address,
      collector: null,
    };
    const text = withTimeForChecks(await shippedEnvoyConfig());
    const bundles = new Map([['acme.test', bundle]]);
    const started = await EnvoyProcess.start({
      binary: envoy,
      config: (adminSocket) => envoyConfigWithFiles(text, { ...addresses, adminSocket }, { ...gateway, bundles }),
    });
    if (!(started instanceof EnvoyProcess)) throw new Error(started.problem);
    const agent = new Agent(await acme.svid('/ns/agents/sa/planner'), acme.bundlePem);
    const common = { trustDomains: ['acme.test'], policies: 'policies' };
    await writeFile(
      join(folder, 'sidecar.yaml'),
      stringify({
        ...common,
        svid: { ...own, bundle },
        extAuthz: { listen: `unix:${socket}` },
        admin: { listen: `127.0.0.1:${ADMIN_PORTS.sidecar}` },
        state: `authority://${NAME}:${PORT}`,
        authority: { id: 'spiffe://acme.test/authority' },
        ledger: { folder: 'ledger-sidecar', name: 'sidecar', key: 'ledger-sidecar.pem', checkpoints: 'sidecar.txt' },
      }),
    );
    const settings = {
      ...common,
      svid: { ...served, bundle },
      extAuthz: { listen: `unix:${folder}/unused.sock` },
      admin: { listen: `127.0.0.1:${ADMIN_PORTS.authority}` },
      issuer: { url: 'https://issuer.acme.test', listen: `127.0.0.1:${ISSUER_PORT}` },
      state: 'sqlite:state.db',
      records: 'file:received',
      authority: {
        sidecars: { id: 'spiffe://acme.test/ns/*/sa/tools-*', audiences: AUDIENCE },
        ...(leaseSeconds === null ? {} : { leaseSeconds }),
      },
      ledger: {
        folder: 'ledger-authority',
        name: 'authority',
        key: 'ledger-authority.pem',
        checkpoints: 'authority.txt',
      },
    };
    const stops = [() => agent.close(), () => payments.close(), () => files.close(), () => started.stop()];
    return new OneAuthority({ folder, agent, envoy: started, drainSeconds }, settings, stops);
  }

  /** Starts the authority at an address; resolves once it is ready. */
  async serveAuthority(host: string): Promise<void> {
    const file = join(this.#folder, 'authority.yaml');
    const authority = { ...Object(this.#settings['authority']), listen: `${host}:${PORT}` };
    await writeFile(file, stringify({ ...this.#settings, authority }));
    this.#authority = remit(['serve', '--config', file], this.#environment);
    await this.#authority.said('checks on');
    await until(() => isReady('authority'), { what: 'the authority is ready' });
  }

  async serveSidecar(): Promise<void> {
    this.#sidecar = remit(['serve', '--config', join(this.#folder, 'sidecar.yaml')], this.#environment);
    await this.#sidecar.said('checks on');
    await until(() => isReady('sidecar'), { what: 'the sidecar is ready' });
  }

  /** Ends the authority as a service manager does; resolves once it has ended. */
  async endAuthority(): Promise<void> {
    this.#authority?.child.kill('SIGTERM');
    await this.#authority?.exit;
  }

  /** Whether the authority has a stream of the sidecar. */
  async isFollowed(): Promise<boolean> {
    const text = await (await fetch(`http://127.0.0.1:${ADMIN_PORTS.authority}/fleet`)).text();
    const sidecars: readonly { readonly connected: boolean }[] = JSON.parse(text).sidecars;
    return sidecars.some(({ connected }) => connected);
  }

  /** A token of a new task. */
  async declare(): Promise<string> {
    const request = tokenRequest(AUDIENCE, { actions: ['payments.read'], purpose: 'look' });
    const reply = await this.agent.call(ISSUER_PORT, { host: `localhost:${ISSUER_PORT}`, ...request });
    if (reply.status !== 200) throw new Error(`the issuer refused: ${reply.body}`);
    return JSON.parse(reply.body).access_token;
  }

  /** The answer to a call through Envoy: `200`, or status and reason. */
  async call(token: string): Promise<string> {
    const asked = {
      host: 'payments.acme.test',
      path: '/v1/payments/p-1',
      headers: { authorization: `Bearer ${token}` },
    };
    const { status, body } = await this.agent.call(this.#envoy.address.port, asked);
    return status === 200 ? '200' : `${status} ${/"reason":"([\w.-]+)"/.exec(body)?.[1] ?? 'without a reason'}`;
  }

  async stop(): Promise<void> {
    for (const running of [this.#sidecar, this.#authority]) {
      running?.child.kill('SIGKILL');
      await running?.exit;
    }
    for (const stop of this.#stops.toReversed()) await stop();
  }
}

const isReady = async (party: keyof typeof ADMIN_PORTS): Promise<boolean> => {
  const response = await fetch(`http://127.0.0.1:${ADMIN_PORTS[party]}/readyz`).catch(() => null);
  return response?.ok === true;
};

import { get } from 'node:http';
import { Agent, request } from 'node:https';
import { X509Certificate, createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { createAuthority, writeBundle, writeCredential } from '../../src/dev/authority.ts';
import type { CertificateAuthority, IssuedSvid } from '../../src/dev/authority.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { entryPointOf } from '../entry-point.ts';
import { freePort } from '../free-port.ts';
import type { Stage } from './stage.ts';

/** The proxy whose `x-forwarded-client-cert` header Remit trusts. */
const PROXY = 'spiffe://acme.test/gateway';
const ISSUER = 'https://issuer.acme.test';
const root = resolve(import.meta.dirname, '../..');

/** A calling agent. */
export interface Caller {
  readonly svid: IssuedSvid;
  /** The header that identifies the caller to Remit, as from a gateway in front of Envoy: load generators have no client certificate. */
  readonly xfcc: string;
}

/** The trust domain of a run, with the agent that makes the load and another one. */
export interface Domain {
  readonly authority: CertificateAuthority;
  readonly planner: Caller;
  readonly reporter: Caller;
}

/** Longer than a soak: nothing is issued again here, and a task token ends with the certificate that it is bound to. */
const TTL_SECONDS = 43_200;

/** More than a load asks for in a second, of each kind. */
const ENOUGH = 1_000_000;

export async function newDomain(): Promise<Domain> {
  const authority = await createAuthority('acme.test', systemPorts);
  const caller = async (path: string): Promise<Caller> => {
    const svid = await authority.svid(path, { ttlSeconds: TTL_SECONDS });
    const hash = createHash('sha256').update(new X509Certificate(svid.certPem).raw).digest('hex');
    return { svid, xfcc: `By=${PROXY};Hash=${hash};URI=${svid.id}` };
  };
  return {
    authority,
    planner: await caller('/ns/agents/sa/planner'),
    reporter: await caller('/ns/agents/sa/reporter'),
  };
}

/** Options of a Remit. */
export interface RemitOptions {
  /** Its folder in that of the stage. A name that was used before starts the same Remit again, once that has ended. */
  readonly name: string;
  /** Destination of spans, over OTLP; `null` for none, as by default. */
  readonly collectorPort: number | null;
  /** Policy folder. Default: the shipped one. */
  readonly policies?: string;
  /** The checkout whose `dist/` and shipped policies are used. Default this one. */
  readonly checkout?: string;
  /** The Node.js it runs on. Default that of the benchmark. */
  readonly node?: string;
  /** Lifetime of tokens. Default 300 s. */
  readonly tokenSeconds?: number;
  /** Checks per second of one agent. Default: enough for a whole load. */
  readonly checksPerAgent?: number;
  /** Limits of one client of the issuer. Default: enough for a whole load. */
  readonly issuerLimits?: Readonly<Record<string, number>>;
  /** Who may stop agents. Default nobody. */
  readonly operators?: readonly string[];
  /** Node flags. Default: those of the entry point of the image, with its environment. */
  readonly flags?: readonly string[];
  /** The section `authority`. Default none. */
  readonly authority?: object;
  /** `state` of a sidecar: `authority:unix:…`. Default: a state file and an issuer of its own. */
  readonly sidecarOf?: string;
  /** More of its environment. Default none. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Port at which checks are answered over mutual TLS too. Default none. */
  readonly network?: number;
  /** The section `ledger`. Default: everything beside the state file. */
  readonly ledger?: object;
  /** File for its standard output. */
  readonly stdoutFile?: string;
}

/** The intent and the agent of a task token. */
export interface Intent {
  readonly by: Caller;
  readonly audience: string;
  readonly actions: readonly string[];
  /** Default none. */
  readonly constraints?: Readonly<Record<string, number>>;
}

const CONNECTIONS = 8;
const POLL_MS = 2;

/** The built product as a separate process, with its own folder, state and issuer. Lifecycle: `start`; the stage ends it. */
export class RemitUnderTest {
  readonly pid: number;
  readonly socket: string;
  /** When it was started, by `performance.now()`. */
  readonly startedMs: number;
  /** Port of the issuer. */
  readonly issuerPort: number;
  /** Port of liveness, readiness and metrics. */
  readonly adminPort: number;
  readonly folder: string;
  /** The verifier key of its ledger, which it logs when it starts. */
  readonly verifierKey: () => string;
  readonly #domain: Domain;
  readonly #agents = new Map<Caller, Agent>();
  readonly #end: () => Promise<void>;

  private constructor(running: Running, domain: Domain) {
    this.pid = running.pid;
    this.socket = running.socket;
    this.startedMs = running.startedMs;
    this.issuerPort = running.ports.issuer;
    this.adminPort = running.ports.admin;
    this.folder = running.folder;
    this.verifierKey = () => /verified with (\S+)/.exec(running.said())?.[1] ?? '';
    this.#end = running.end;
    this.#domain = domain;
  }

  static async start(stage: Stage, domain: Domain, options: RemitOptions): Promise<RemitUnderTest> {
    const folder = join(stage.folder, options.name);
    await mkdir(folder, { mode: 0o700, recursive: true });
    const ports = { issuer: await freePort(), admin: await freePort() };
    const socket = join(folder, 'check.sock');
    const file = join(folder, 'remit.yaml');
    await writeFile(file, stringify(await configOf(folder, domain, { ...options, ports, socket })));
    const main = join(options.checkout ?? root, 'dist/main.js');
    const image = options.flags === undefined ? await entryPointOf(options.checkout ?? root) : null;
    const flags = options.flags ?? image?.command.filter((word) => word.startsWith('--')) ?? [];
    const command = [options.node ?? process.execPath, ...flags, main, 'serve', '--config', file];
    const { pid, child, startedMs } = await stage.start(command, {
      ready: 'checks on',
      environment: { ...image?.environment, ...environmentOf(options.collectorPort), ...options.environment },
      ...(options.stdoutFile === undefined ? {} : { stdoutFile: options.stdoutFile }),
    });
    const said = (): string => [...child.stdout, ...child.stderr].join('\n');
    const end = (): Promise<void> => child.end(15_000);
    const started = new RemitUnderTest({ pid, startedMs, socket, ports, folder, said, end }, domain);
    stage.onClose(() => Promise.resolve(started.#agents.forEach((agent) => agent.destroy())));
    return started;
  }

  /** Issues `count` tokens, each of its own task. Throws where one is refused. */
  async tokens(count: number, intent: Intent): Promise<readonly string[]> {
    const body = tokenRequestOf(intent);
    const tokens: string[] = [];
    let asked = 0;
    const worker = async (): Promise<void> => {
      while (asked < count) {
        asked += 1;
        tokens.push(JSON.parse(await this.#ask(intent.by, '/oauth/token', body)).access_token);
      }
    };
    await Promise.all(Array.from({ length: Math.min(CONNECTIONS, count) }, worker));
    return tokens;
  }

  /** The public keys of its tokens, as JSON. */
  keys(): Promise<string> {
    return this.#ask(this.#domain.planner, '/.well-known/jwks.json');
  }

  /** The sum of a metric over its series that have all of the labels; 0 where there are none. */
  async metric(name: string, ...labels: readonly string[]): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${this.adminPort}/metrics`)).text();
    const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
    const meant = lines.filter((line) => labels.every((label) => line.includes(label)));
    return meant.reduce((sum, line) => sum + Number(line.split('} ').at(-1)?.split(' ').find(Number) ?? 0), 0);
  }

  /** Waits until its admin listener says that it is ready. */
  async isReady(): Promise<void> {
    const status = (): Promise<number> =>
      new Promise((settle) => {
        const asked = get({ host: '127.0.0.1', port: this.adminPort, path: '/readyz', agent: false }, (response) => {
          settle(response.resume().statusCode ?? 0);
        });
        asked.on('error', () => settle(0));
      });
    while ((await status()) !== 200) await delay(POLL_MS);
  }

  /** Ends it gracefully, before the stage does. */
  end(): Promise<void> {
    return this.#end();
  }

  #agentOf(caller: Caller): Agent {
    const { certPem: cert, keyPem: key } = caller.svid;
    const ca = this.#domain.authority.bundlePem;
    const agent = this.#agents.get(caller) ?? new Agent({ keepAlive: true, maxSockets: CONNECTIONS, ca, cert, key });
    this.#agents.set(caller, agent);
    return agent;
  }

  #ask(caller: Caller, path: string, body?: string): Promise<string> {
    const headers = { host: 'localhost', 'content-type': 'application/x-www-form-urlencoded' };
    const options = { agent: this.#agentOf(caller), host: '127.0.0.1', port: this.issuerPort, path, headers };
    return new Promise((settle, reject) => {
      const asked = request({ ...options, method: body === undefined ? 'GET' : 'POST' }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          if (response.statusCode === 200) settle(text);
          else reject(new Error(`the issuer answered ${response.statusCode}: ${text}`));
        });
      });
      // The server may close an idle connection just when it is used again.
      const failed = (error: Error & { readonly code?: string }): void =>
        asked.reusedSocket && error.code === 'ECONNRESET' ? settle(this.#ask(caller, path, body)) : reject(error);
      asked.on('error', failed).end(body);
    });
  }
}

/** The issuer of the tokens, for contenders that verify them. */
export const issuerUrl = ISSUER;

interface Ports {
  readonly issuer: number;
  readonly admin: number;
}

interface Running {
  readonly pid: number;
  readonly startedMs: number;
  readonly socket: string;
  readonly ports: Ports;
  readonly folder: string;
  readonly said: () => string;
  readonly end: () => Promise<void>;
}

const environmentOf = (collectorPort: number | null): Readonly<Record<string, string>> =>
  collectorPort === null
    ? {}
    : {
        OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collectorPort}`,
        OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
      };

async function configOf(
  folder: string,
  { authority }: Domain,
  options: RemitOptions & { readonly ports: Ports; readonly socket: string },
): Promise<object> {
  const { ports, socket, policies, checksPerAgent: maxChecksPerSecondPerAgent = 1_000_000 } = options;
  const svid = await authority.svid('/remit', { dns: ['localhost'], ips: ['127.0.0.1'], ttlSeconds: TTL_SECONDS });
  const credential = await writeCredential(folder, 'remit', svid);
  return {
    trustDomains: ['acme.test'],
    extAuthz: {
      ...(options.network === undefined
        ? { listen: `unix:${socket}` }
        : { listen: [`unix:${socket}`, `0.0.0.0:${options.network}`], callers: PROXY }),
      identity: 'xfcc',
      proxyId: PROXY,
      maxChecksPerSecondPerAgent,
    },
    svid: { ...credential, bundle: await writeBundle(folder, 'bundle', authority) },
    ...(options.sidecarOf === undefined ? ownState(options) : stateOf(options.sidecarOf)),
    admin: { listen: `127.0.0.1:${ports.admin}` },
    policies: policies ?? join(options.checkout ?? root, 'cedar-policies'),
    ...(options.authority === undefined ? {} : { authority: options.authority }),
  };
}

/** The state of a sidecar, and its ledger: by default that is in a folder of the machine, with what earlier runs have left. */
const stateOf = (authority: string): object => ({
  state: authority,
  ledger: { folder: 'ledger', key: 'ledger-key.pem', checkpoints: 'checkpoints.txt' },
});

/** A state file, and the issuer that writes to it. */
const ownState = ({
  ports,
  tokenSeconds,
  issuerLimits,
  ledger,
  operators,
}: RemitOptions & { readonly ports: Ports }): object => ({
  issuer: {
    listen: `127.0.0.1:${ports.issuer}`,
    url: ISSUER,
    signingKey: 'key.pem',
    tokenSeconds: tokenSeconds ?? 300,
    taskSeconds: 7_200,
    limits: issuerLimits ?? { requestsPerSecondPerClient: ENOUGH, withdrawalsPerSecondPerClient: ENOUGH },
    ...(operators === undefined ? {} : { operators }),
  },
  state: 'sqlite:state.db',
  ...(ledger === undefined ? {} : { ledger }),
});

/** The body of the request for the token of an intent. */
export function tokenRequestOf({ audience, actions, constraints }: Intent): string {
  const limits = constraints === undefined ? {} : { constraints };
  const detail = { type: 'urn:remit:task', locations: [audience], actions, ...limits, purpose: 'load' };
  return new URLSearchParams({
    grant_type: 'client_credentials',
    resource: audience,
    authorization_details: JSON.stringify([detail]),
  }).toString();
}

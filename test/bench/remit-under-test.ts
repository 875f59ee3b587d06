import { Agent, request } from 'node:https';
import { X509Certificate, createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { createAuthority, writeBundle, writeCredential } from '../../src/dev/authority.ts';
import type { Authority, Svid } from '../../src/dev/authority.ts';
import { systemPorts } from '../../src/ports.ts';
import { freePort } from './stage.ts';
import type { Stage } from './stage.ts';

/** Whose `x-forwarded-client-cert` header Remit believes. */
const PROXY = 'spiffe://acme.test/gateway';
const ISSUER = 'https://issuer.acme.test';
const root = resolve(import.meta.dirname, '../..');

/** The trust domain of a run, with the one agent that calls. */
export interface Domain {
  readonly authority: Authority;
  readonly planner: Svid;
  /** Says to Remit who calls, as a gateway in front of Envoy would: load generators bring no client certificate. */
  readonly xfcc: string;
}

export async function newDomain(): Promise<Domain> {
  const authority = await createAuthority('acme.test', systemPorts);
  const planner = await authority.svid('/ns/agents/sa/planner');
  const hash = createHash('sha256').update(new X509Certificate(planner.certPem).raw).digest('hex');
  return { authority, planner, xfcc: `By=${PROXY};Hash=${hash};URI=${planner.id}` };
}

/** How one Remit differs from another. */
export interface RemitOptions {
  readonly name: string;
  /** Where spans go, over OTLP; `null` for nowhere, which is the default of the product. */
  readonly collectorPort: number | null;
  /** Default the shipped ones. */
  readonly policies?: string;
  /** Default 300 s. */
  readonly tokenSeconds?: number;
  /** Flags of Node. */
  readonly flags?: readonly string[];
  /** Where its standard output goes. */
  readonly stdoutFile?: string;
}

/** What a task token is asked for. */
export interface Intent {
  readonly audience: string;
  readonly actions: readonly string[];
}

const CONNECTIONS = 8;

/**
 * The built product as a process of its own, with its own folder, state and issuer. Lifecycle: `start`; it ends with the
 * stage.
 */
export class RemitUnderTest {
  readonly pid: number;
  readonly socket: string;
  readonly #ports: Ports;
  readonly #agent: Agent;
  readonly #end: () => Promise<void>;

  private constructor(running: Running, domain: Domain) {
    this.pid = running.pid;
    this.socket = running.socket;
    this.#ports = running.ports;
    this.#end = running.end;
    const { certPem: cert, keyPem: key } = domain.planner;
    this.#agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS, ca: domain.authority.bundlePem, cert, key });
  }

  static async start(stage: Stage, domain: Domain, options: RemitOptions): Promise<RemitUnderTest> {
    const folder = join(stage.folder, options.name);
    await mkdir(folder, { mode: 0o700 });
    const ports = { issuer: await freePort(), admin: await freePort() };
    const socket = join(folder, 'check.sock');
    const file = join(folder, 'remit.yaml');
    await writeFile(file, stringify(await configOf(folder, domain, { ...options, ports, socket })));
    const command = [process.execPath, ...(options.flags ?? []), join(root, 'dist/main.js'), 'serve', '--config', file];
    const { pid, child } = await stage.start(command, {
      ready: 'checks on',
      environment: environmentOf(options.collectorPort),
      ...(options.stdoutFile === undefined ? {} : { stdoutFile: options.stdoutFile }),
    });
    const started = new RemitUnderTest({ pid, socket, ports, end: () => child.end(15_000) }, domain);
    stage.onClose(() => Promise.resolve(started.#agent.destroy()));
    return started;
  }

  /** Issues so many tokens, each of a task of its own. Throws where one is refused. */
  async tokens(count: number, intent: Intent): Promise<readonly string[]> {
    const body = bodyOf(intent);
    const tokens: string[] = [];
    let asked = 0;
    const worker = async (): Promise<void> => {
      while (asked < count) {
        asked += 1;
        tokens.push(JSON.parse(await this.#ask('/oauth/token', body)).access_token);
      }
    };
    await Promise.all(Array.from({ length: Math.min(CONNECTIONS, count) }, worker));
    return tokens;
  }

  /** The keys its tokens are verified with, as JSON. */
  keys(): Promise<string> {
    return this.#ask('/.well-known/jwks.json');
  }

  /** The sum of a metric over its series, those alone that hold all of the labels; 0 where it has none. */
  async metric(name: string, ...labels: readonly string[]): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${this.#ports.admin}/metrics`)).text();
    const lines = text.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
    const meant = lines.filter((line) => labels.every((label) => line.includes(label)));
    return meant.reduce((sum, line) => sum + Number(line.split('} ').at(-1)?.split(' ').find(Number) ?? 0), 0);
  }

  /** Ends it before the stage does, in good order. */
  end(): Promise<void> {
    return this.#end();
  }

  #ask(path: string, body?: string): Promise<string> {
    const headers = { host: 'localhost', 'content-type': 'application/x-www-form-urlencoded' };
    const options = { agent: this.#agent, host: '127.0.0.1', port: this.#ports.issuer, path, headers };
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
      asked.on('error', reject).end(body);
    });
  }
}

/** The issuer of the tokens, for those who verify them. */
export const issuerUrl = ISSUER;

interface Ports {
  readonly issuer: number;
  readonly admin: number;
}

interface Running {
  readonly pid: number;
  readonly socket: string;
  readonly ports: Ports;
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
  { ports, socket, policies, tokenSeconds }: RemitOptions & { readonly ports: Ports; readonly socket: string },
): Promise<object> {
  const svid = await authority.svid('/remit', { dns: ['localhost'], ips: ['127.0.0.1'] });
  const credential = await writeCredential(folder, 'remit', svid);
  return {
    trustDomains: ['acme.test'],
    // All of the load is one agent's.
    extAuthz: { listen: `unix:${socket}`, identity: 'xfcc', proxyId: PROXY, maxChecksPerSecondPerAgent: 1_000_000 },
    svid: { ...credential, bundle: await writeBundle(folder, 'bundle', authority) },
    issuer: {
      listen: `127.0.0.1:${ports.issuer}`,
      url: ISSUER,
      signingKey: 'key.pem',
      tokenSeconds: tokenSeconds ?? 300,
      taskSeconds: 7_200,
    },
    admin: { listen: `127.0.0.1:${ports.admin}` },
    policies: policies ?? join(root, 'cedar-policies'),
    state: 'sqlite:state.db',
  };
}

function bodyOf({ audience, actions }: Intent): string {
  const detail = { type: 'urn:remit:task', locations: [audience], actions, purpose: 'load' };
  return new URLSearchParams({
    grant_type: 'client_credentials',
    resource: audience,
    authorization_details: JSON.stringify([detail]),
  }).toString();
}

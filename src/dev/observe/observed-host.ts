import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Ports } from '../../core/runtime/ports.ts';
import { Agent } from '../agent.ts';
import { createAuthority, writeBundle, writeCredential } from '../authority.ts';
import type { CertificateAuthority, CredentialFiles } from '../authority.ts';
import { isBinaryProblem } from '../envoy-binary.ts';
import { EnvoyProcess } from '../envoy.ts';
import { ServedRemit } from '../fleet/served-remit.ts';
import { freePortSource } from '../free-port-source.ts';
import { until } from '../until.ts';
import { DeskServer } from './desk-server.ts';
import { envoyWithFiles, remitWithFiles } from './file-identities.ts';
import { ranRemit } from './ran-command.ts';
import type { RanCommand } from './ran-command.ts';

/** What to start, and where. */
export interface ObservedHostOptions {
  /** An empty folder, which the caller removes. Its path must be at most 70 bytes. */
  readonly folder: string;
  /** Envoy's binary. */
  readonly envoy: string;
  /** Program and first arguments that run `remit`. */
  readonly remit: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly ports: Ports;
  /** Interrupts what runs. */
  readonly signal: AbortSignal;
}

const TRUST_DOMAIN = 'acme.test';
/** The host name of the tool server. */
export const TOOLS = 'tools.acme.test';
const WITHIN_MS = 60_000;

/** The agents by the names of their files. */
export const AGENTS = ['triage-1', 'triage-2', 'digest'] as const;
/** The name of an agent. */
export type AgentName = (typeof AGENTS)[number];

interface Identities {
  readonly ca: CertificateAuthority;
  readonly bundle: string;
  readonly remit: CredentialFiles;
  readonly envoy: CredentialFiles;
}

interface FreePorts {
  readonly listen: number;
  readonly issuer: number;
  readonly admin: number;
}

/**
 * A host to which Remit is added: an unguarded tool server, agents with SVIDs, and the folder of `remit init`, with Envoy and
 * `remit serve` as processes.
 *
 * Lifecycle: `open`; `stop` ends all that was started.
 */
export class ObservedHost {
  readonly desk: DeskServer;
  readonly agents: ReadonlyMap<AgentName, Agent>;
  readonly ports: FreePorts;
  readonly #options: ObservedHostOptions;
  readonly #identities: Identities;
  #envoy: EnvoyProcess | null = null;
  #remit: ServedRemit | null = null;

  private constructor(
    parts: Pick<ObservedHost, 'desk' | 'agents' | 'ports'>,
    own: { readonly options: ObservedHostOptions; readonly identities: Identities },
  ) {
    this.desk = parts.desk;
    this.agents = parts.agents;
    this.ports = parts.ports;
    this.#options = own.options;
    this.#identities = own.identities;
  }

  /** Makes identities and starts the tool server; Remit and Envoy are not there yet. */
  static async open(options: ObservedHostOptions): Promise<ObservedHost> {
    const { folder, ports } = options;
    const ca = await createAuthority(TRUST_DOMAIN, ports);
    const svids = join(folder, 'svids');
    await mkdir(svids, { recursive: true, mode: 0o700 });
    const names = { dns: ['localhost', TOOLS], ips: ['127.0.0.1'] };
    const identities = {
      ca,
      bundle: await writeBundle(svids, 'bundle', ca),
      remit: await writeCredential(svids, 'remit', await ca.svid('/remit', names)),
      envoy: await writeCredential(svids, 'envoy', await ca.svid('/envoy', names)),
    };
    const nextPort = freePortSource(Buffer.from(ports.randomBytes(4)).readUInt32BE());
    const agents = new Map<AgentName, Agent>();
    for (const name of AGENTS) {
      const svid = await ca.svid(`/agents/${name}`);
      await writeCredential(svids, name, svid);
      agents.set(name, new Agent(svid, ca.bundlePem));
    }
    const free = { listen: await nextPort(), issuer: await nextPort(), admin: await nextPort() };
    return new ObservedHost({ desk: await DeskServer.start(), agents, ports: free }, { options, identities });
  }

  /** The program of Node.js that runs `remit`, for agents too. */
  get node(): string {
    return this.#options.remit[0] ?? 'node';
  }

  /** A path in the folder of the host. */
  at(...names: readonly string[]): string {
    return join(this.#options.folder, ...names);
  }

  /** Runs a `remit` command beside the folder that `remit init` wrote. */
  ran(words: readonly string[]): Promise<RanCommand> {
    const { remit, environment, folder, signal } = this.#options;
    return ranRemit(words, { command: remit, environment, folder, signal });
  }

  /** Makes Remit use certificates from files, since this machine may have no SPIRE. */
  async useFiles(): Promise<void> {
    const { remit, bundle } = this.#identities;
    const file = this.at('remit-host', 'remit.yaml');
    const changed = remitWithFiles(await readFile(file, 'utf8'), {
      svid: { ...remit, bundle },
      adminPort: this.ports.admin,
    });
    await writeFile(file, changed, { mode: 0o600 });
  }

  /** Starts `remit serve`; resolves once it is ready. */
  async serve(): Promise<void> {
    const { remit } = this.#options;
    const file = this.at('remit-host', 'remit.yaml');
    this.#remit = ServedRemit.start(remit, { file, adminPort: this.ports.admin });
    await this.#remit.ready('remit serve');
  }

  /** Starts Envoy with a configuration of the folder, after stopping the running Envoy. */
  async startEnvoy(file: string): Promise<void> {
    await this.#envoy?.stop();
    const { envoy, bundle } = this.#identities;
    const text = await readFile(this.at('remit-host', file), 'utf8');
    const files = { ...envoy, bundles: new Map([[TRUST_DOMAIN, bundle]]) };
    const started = await EnvoyProcess.start({
      binary: this.#options.envoy,
      config: (adminSocket) => envoyWithFiles(text, { files, adminSocket }),
    });
    if (isBinaryProblem(started)) throw new Error(started.problem);
    this.#envoy = started;
  }

  /** Replaces the policy folder, but for its `enforcement.yaml`; resolves once the new folder is in force. */
  async applyPolicies(folder: string): Promise<void> {
    const policies = this.at('remit-host', 'policies');
    const enforcement = await readFile(join(policies, 'enforcement.yaml'), 'utf8');
    await writeFile(join(folder, 'enforcement.yaml'), enforcement);
    await this.reloadedAfter(async () => {
      await rename(policies, this.at('remit-host', 'first-policies'));
      await rename(folder, policies);
    });
  }

  /** Makes a change of the policies; resolves with its result once it is in force, and rejects if it is not within 60 s. */
  async reloadedAfter<T>(change: () => Promise<T>): Promise<T> {
    const generation = await this.#generation();
    const done = await change();
    await this.#reloaded(generation);
    return done;
  }

  /** Observed decisions so far, by what they would have been. */
  async observed(): Promise<ReadonlyMap<string, number>> {
    const counted = new Map<string, number>();
    for (const [, would = '', reason = '', count = '0'] of (await this.#metrics()).matchAll(
      /^remit_observed_decisions_total\{would="(\w+)",reason="([\w.-]*)"\} (\d+)$/gm,
    ))
      counted.set(`${would}${reason === '' || reason === 'none' ? '' : ` ${reason}`}`, Number(count));
    return counted;
  }

  async stop(): Promise<void> {
    for (const agent of this.agents.values()) agent.close();
    await this.#envoy?.stop();
    await this.#remit?.kill();
    await this.desk.close();
  }

  async #metrics(): Promise<string> {
    return (await fetch(`http://127.0.0.1:${this.ports.admin}/metrics`)).text();
  }

  async #generation(): Promise<number> {
    return Number(/^remit_policy_generation (\d+)$/m.exec(await this.#metrics())?.[1] ?? 0);
  }

  #reloaded(before: number): Promise<true> {
    return until(async () => (await this.#generation()) > before, {
      what: 'the changed policies are in force',
      withinMs: WITHIN_MS,
    });
  }
}

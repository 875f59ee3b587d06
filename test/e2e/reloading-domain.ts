import type { Agent } from '../../src/dev/agent.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import type { UseRecord } from '../../src/core/ledger/record.ts';
import { setHashOf } from '../../src/core/policy/loading/set-hash.ts';
import { readPolicySource } from '../../src/core/policy/loading/source.ts';
import { until } from '../until.ts';
import { mustDeclare, startDomain } from './domain.ts';
import { SteadyCallers } from './steady-callers.ts';
import type { Call } from './steady-callers.ts';
import { must } from '../builders/must.ts';

/** What distinguishes policy sets: an action that one forbids, and a permit under an id that no other set has. */
export interface Version {
  readonly id: string;
  readonly forbids: 'payments.list' | 'payments.refund';
}

/** The policy file of a version. */
export const textOf = ({ id, forbids }: Version): string => `@id("${id}")
permit (principal, action in [Remit::Action::"payments.read", Remit::Action::"payments.list"], resource);

@id("${id}-forbids")
forbid (principal, action == Remit::Action::"${forbids}", resource);
`;

/** The period of a set in force: from its report until the next change began. */
export interface Reign {
  readonly version: Version;
  readonly hash: string;
  readonly sinceMs: number;
  untilMs: number;
}

/** The policy folder of a domain, and how a version is written. */
export interface ReloadingOptions {
  /** An empty temporary folder. */
  readonly folder: string;
  readonly policies: string;
  readonly first: Version;
  /** Writes the policy file of a version. */
  readonly write: (text: string) => Promise<void>;
}

/** A line that Remit logged, and when. */
interface Logged {
  readonly line: string;
  readonly atMs: number;
}

/** An agent with a token of its own task. */
interface Caller {
  readonly agent: Agent;
  readonly token: string;
  readonly taskId: string;
}

/** Number of further calls of each kind that show which set is in force. */
const ENOUGH = 4;
const MOST_RECORDS = 1_000_000;
const WAIT_MS = 120_000;

/**
 * A domain whose two agents call without a pause while its policies change. Lifecycle: `start` returns one whose agents call; `stop` ends
 * calls and domain.
 */
export class ReloadingDomain {
  readonly domain: DevDomain;
  readonly callers: SteadyCallers;
  /** Every complete set, by its hash. */
  readonly sets = new Map<string, Version>();
  /** The sets that came into force, in order. */
  readonly reigns: Reign[] = [];
  readonly #options: ReloadingOptions;
  readonly #log: readonly Logged[];
  readonly #tasks: readonly string[];

  private constructor(
    { domain, agents }: { readonly domain: DevDomain; readonly agents: readonly Caller[] },
    log: readonly Logged[],
    options: ReloadingOptions,
  ) {
    this.domain = domain;
    this.#log = log;
    this.#options = options;
    this.#tasks = agents.map(({ taskId }) => taskId);
    this.callers = new SteadyCallers(domain.stage.envoyPort, agents);
  }

  static async start(envoy: string, options: ReloadingOptions): Promise<ReloadingDomain> {
    const { folder, policies, first, write } = options;
    await write(textOf(first));
    const log: Logged[] = [];
    const domain = await startDomain(envoy, {
      folder,
      settings: {
        policies: { folder: policies, lookSeconds: 1 },
        extAuthz: { maxChecksPerSecondPerAgent: 1_000_000 },
      },
      log: (line) => log.push({ line, atMs: performance.now() }),
    });
    try {
      const agents = await agentsOf(domain);
      const started = new ReloadingDomain({ domain, agents }, log, options);
      await started.#note(first);
      return started;
    } catch (error) {
      await domain.stop();
      throw error;
    }
  }

  /** Writes a version completely. */
  async put(version: Version): Promise<void> {
    const reign = this.reigns.at(-1);
    if (reign !== undefined) reign.untilMs = Math.min(reign.untilMs, performance.now());
    await this.#options.write(textOf(version));
    await this.#note(version);
  }

  /** Waits until the last version is reported in force, and until some later calls have begun. */
  async inForce(): Promise<void> {
    const [hash, version] = [...this.sets].at(-1) ?? [];
    if (hash === undefined || version === undefined) throw new Error('no version was written');
    const sinceMs = await this.#said((line) => line.endsWith(`set ${hash}`), `the set of ${version.id}`);
    this.reigns.push({ version, hash, sinceMs, untilMs: Infinity });
    await this.#calledSince(sinceMs);
  }

  /** Writes an invalid set, waits until that is reported, and until some later calls have begun. */
  async putBad(text: string): Promise<void> {
    const { policies, write } = this.#options;
    const beganMs = performance.now();
    await write(text);
    const isFinding = (line: string, atMs: number): boolean => atMs > beganMs && line.startsWith(policies);
    await this.#calledSince(await this.#said(isFinding, 'a finding'));
  }

  /** The records of all uses so far. */
  async uses(): Promise<readonly UseRecord[]> {
    const { remit } = this.domain;
    await remit.flush();
    const uses: UseRecord[] = [];
    for (const taskId of this.#tasks) {
      const records = must(await remit.recordsOf(taskId, MOST_RECORDS));
      const read = records.map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString('utf8')));
      uses.push(...read.filter(({ kind }) => kind === 'use'));
    }
    return uses;
  }

  async stop(): Promise<void> {
    await this.callers.stop();
    await this.domain.stop();
  }

  async #note(version: Version): Promise<void> {
    const source = await readPolicySource(this.#options.policies);
    if (!('policies' in source)) throw new Error(`the policies of ${version.id} cannot be read`);
    this.sets.set(setHashOf(source), version);
  }

  /** When a matching line was logged; waits for it. */
  #said(isMeant: (line: string, atMs: number) => boolean, what: string): Promise<number> {
    return until(() => this.#log.find(({ line, atMs }) => isMeant(line, atMs))?.atMs, { what, withinMs: WAIT_MS });
  }

  async #calledSince(atMs: number): Promise<void> {
    for (const asks of ['read', 'list'] as const) {
      const isSince = (call: Call): boolean => call.asks === asks && call.startedMs > atMs;
      const what = `calls that ${asks} payments`;
      await until(() => this.callers.calls.filter(isSince).length >= ENOUGH, { what, withinMs: WAIT_MS });
    }
  }
}

async function agentsOf(domain: DevDomain): Promise<readonly Caller[]> {
  const agents: Caller[] = [];
  for (const agent of [domain.stage.planner, domain.stage.reporter]) {
    agents.push({ agent, ...(await mustDeclare(agent, domain, { actions: ['payments.read', 'payments.list'] })) });
  }
  return agents;
}

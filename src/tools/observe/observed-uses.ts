import type { UseRecord } from '../../core/ledger/record.ts';
import { useFrom } from '../../core/ledger/recorded-use.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { ReadRecord } from '../learn/record-window.ts';
import { Room } from '../learn/seen/room.ts';
import { SeenHost } from '../learn/seen/seen-host.ts';
import { seenAgain } from '../learn/sightings.ts';
import type { Sightings } from '../learn/sightings.ts';
import { ObservedAgent } from './observed-agent.ts';
import type { DenialRule } from './observed-agent.ts';

/** A distinct action of an agent, and when it was seen. */
export interface ActionSeen {
  /** An action of the catalog; for an unknown call, the host with method and path, tool or gRPC method. */
  readonly name: string;
  readonly seen: Sightings;
}

/** Most pairs of an entry and an agent, and most hosts that the catalog lacks. */
const MAX_AGENTS = 5_000;
const MAX_HOSTS = 1_000;
/** Bytes that an agent at an action takes. */
const PAIR_BYTES = 250;

/**
 * What the records of observed uses show, by entry and agent. Calls that the catalog does not know are distinguished as by `remit
 * learn`: values in a path are one action. Memory is bounded in all; `isCut` is set on an agent whose calls found no room.
 */
export class ObservedUses {
  /** Observed calls of agents for which there was no room. */
  left = 0;
  readonly #agents = new Map<string, ObservedAgent>();
  /** By action of the catalog, then by agent. */
  readonly #known = new Map<string, Map<string, Sightings>>();
  readonly #hosts = new Map<string, SeenHost>();
  readonly #room: Room;
  readonly #rule: DenialRule;

  constructor(rule: DenialRule, room = new Room()) {
    this.#rule = rule;
    this.#room = room;
  }

  /** Adds a record of a use. `foreign` if it is malformed; records of calls that were not observed are passed over. */
  add(record: ReadRecord): 'foreign' | null {
    if (record['mode'] !== 'observe') return null;
    const use = useFrom(record);
    if (isProblem(use) || use.entry === undefined) return 'foreign';
    const key = `${use.entry}\0${use.agent ?? ''}`;
    const known = this.#agents.get(key);
    if (known === undefined && this.#agents.size >= MAX_AGENTS) {
      this.left += 1;
      return null;
    }
    const agent = known ?? new ObservedAgent(use.entry, use.agent, { rule: this.#rule, room: this.#room });
    this.#agents.set(key, agent);
    agent.add(use);
    if (!this.#placed(key, use)) agent.isCut = true;
    return null;
  }

  /** The agents, with their actions. Call it after the last `add`. */
  agents(): readonly (readonly [ObservedAgent, readonly ActionSeen[]])[] {
    const actions = new Map<string, ActionSeen[]>([...this.#agents.keys()].map((key) => [key, []]));
    for (const [name, agents] of [...this.#known, ...this.#unknown()])
      for (const [key, seen] of agents) actions.get(key)?.push({ name, seen });
    return Array.from(this.#agents, ([key, agent]) => [agent, actions.get(key) ?? []] as const);
  }

  /** Whether there was room to tell its action apart. */
  #placed(key: string, use: UseRecord): boolean {
    const { action, host, shape } = use;
    if (action !== null) return this.#note(action, key, use.at);
    if (shape === undefined || host === '') return this.#note('requests that could not be read', key, use.at);
    const known = this.#hosts.get(host);
    if (known === undefined && this.#hosts.size >= MAX_HOSTS) return false;
    const seen = known ?? new SeenHost(this.#room);
    this.#hosts.set(host, seen);
    const why = seen.add({ ...use, agent: key, shape });
    return why === null || this.#note(`${host}: calls ${why}`, key, use.at);
  }

  #note(name: string, key: string, at: number): boolean {
    const agents = this.#known.get(name) ?? new Map<string, Sightings>();
    if (!agents.has(key) && !this.#room.take(key, PAIR_BYTES)) return false;
    agents.set(key, seenAgain(agents.get(key), at));
    this.#known.set(name, agents);
    return true;
  }

  *#unknown(): Generator<readonly [string, ReadonlyMap<string, Sightings>]> {
    for (const [host, seen] of this.#hosts) {
      for (const { method, template, calls } of seen.routes) yield [`${method} ${host}${template}`, calls.agents];
      for (const { protocol, path, parts } of seen.endpoints)
        for (const [part, calls] of parts) yield [`${protocol} ${host}${path} ${part}`, calls.agents];
      for (const [method, calls] of seen.grpc) yield [`grpc ${host}/${method}`, calls.agents];
    }
  }
}

import type { CatalogAction } from '../../../core/action/catalog/catalog.ts';
import { KnownCalls } from '../beside/known-calls.ts';
import type { GivenAnswer } from '../beside/known-calls.ts';
import type { LearntCall } from '../learnt-call.ts';
import { Room } from './room.ts';
import { SeenAgent } from './seen-agent.ts';
import { isOfMcpAction, SeenHost } from './seen-host.ts';
import type { Span } from '../record-window.ts';

/** Most agents, most hosts, and most hosts that one agent is the first to call. */
const MAX_AGENTS = 5_000;
const MAX_HOSTS = 1_000;
const MAX_HOSTS_AN_AGENT = 100;
const TOO_MANY_AGENTS = `of more agents than there is room for, of which there are at most ${MAX_AGENTS}`;
const NO_MCP_ACTION =
  'to a method of MCP that becomes no action: only tools, sessions, `resources/read` and `prompts/get` do';
/** A host that a catalog can name. */
const HOST = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,62})(?:\.[a-z0-9](?:[a-z0-9-]{0,62}))*$/;

/** The operation of an API description that a call is to; `null` if it is to none. */
export type OperationOf = (call: LearntCall) => string | null;

/** What calls showed, by host and by agent. Bounded in all: what there is no room for is counted with the reason. */
export class Observations {
  readonly hosts = new Map<string, SeenHost>();
  readonly agents = new Map<string, SeenAgent>();
  /** Calls to actions of the existing catalog, by action id. */
  readonly known = new Map<string, KnownCalls>();
  /** Number of calls that were left out, by reason. */
  readonly left = new Map<string, number>();
  learnt = 0;
  readonly #room = new Room();
  /** How many hosts each agent was the first to call. */
  readonly #founded = new Map<string, number>();
  readonly #operationOf: OperationOf;
  readonly #span: Span;

  /** @param span of the calls that are added */
  constructor(span: Span, operationOf: OperationOf = () => null) {
    this.#span = span;
    this.#operationOf = operationOf;
  }

  /** Adds a call that no catalog knows. */
  add(call: LearntCall): void {
    this.#count(this.#added(call));
  }

  /** Adds a call to an action of the existing catalog, with the answer of its policies. */
  addKnown(call: LearntCall, action: CatalogAction, answer: GivenAnswer): void {
    this.#count(this.#addedKnown(call, action, answer));
  }

  #count(why: string | null): void {
    if (why === null) this.learnt += 1;
    else this.leaveOut(why);
  }

  /** Counts calls that are left out. */
  leaveOut(why: string, count = 1): void {
    this.left.set(why, (this.left.get(why) ?? 0) + count);
  }

  /** The agent of a call, new or known; `null` if there is no room for a new agent. */
  #agentOf({ agent }: LearntCall): SeenAgent | null {
    const known = this.agents.get(agent);
    if (known !== undefined) return known;
    const made = new SeenAgent(agent, this.#span);
    return this.agents.size >= MAX_AGENTS || !this.#room.has(made.id, made.bytes) ? null : made;
  }

  /** Notes a call of an agent, which is new or known. */
  #noteOf(agent: SeenAgent, call: LearntCall): void {
    if (!this.agents.has(agent.id)) this.#room.take(agent.id, agent.bytes);
    this.agents.set(agent.id, agent);
    agent.add(call, this.#room);
  }

  #addedKnown(given: LearntCall, action: CatalogAction, answer: GivenAnswer): string | null {
    const agent = this.#agentOf(given);
    if (agent === null) return TOO_MANY_AGENTS;
    const call = { ...given, agent: agent.id };
    const known = this.known.get(action.id) ?? new KnownCalls(action);
    if (!known.add(call, answer, this.#room)) return 'of more different kinds than there is room for';
    this.known.set(action.id, known);
    this.#noteOf(agent, call);
    return null;
  }

  #added(given: LearntCall): string | null {
    if (!HOST.test(given.host)) return 'to a host that no catalog can name';
    if (given.shape.protocol === 'mcp' && !isOfMcpAction(given.shape)) return NO_MCP_ACTION;
    const agent = this.#agentOf(given);
    if (agent === null) return TOO_MANY_AGENTS;
    // One string for all calls of an agent, because it is the key of many maps.
    const call = { ...given, agent: agent.id };
    const host = this.hosts.get(call.host);
    const founded = this.#founded.get(call.agent) ?? 0;
    if (host === undefined && this.hosts.size >= MAX_HOSTS) return `to more than ${MAX_HOSTS} hosts`;
    if (host === undefined && founded >= MAX_HOSTS_AN_AGENT)
      return `to more than ${MAX_HOSTS_AN_AGENT} hosts that nobody called before`;
    const seen = host ?? new SeenHost(this.#room);
    const operation = this.#operationOf(call);
    const why = operation === null ? seen.add(call) : seen.addOperation(operation, call);
    if (why !== null) return why;
    if (host === undefined) this.#founded.set(call.agent, founded + 1);
    this.hosts.set(call.host, seen);
    this.#noteOf(agent, call);
    return null;
  }
}

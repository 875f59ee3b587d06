import type { LearntCall } from './learnt-call.ts';
import { Room } from './seen-calls.ts';
import { SeenAgent } from './seen-agent.ts';
import { SeenHost } from './seen-host.ts';

/** Most agents, and most hosts. */
const MAX_AGENTS = 5_000;
const MAX_HOSTS = 1_000;
/** A host that a catalog can name. */
const HOST = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,62})(?:\.[a-z0-9](?:[a-z0-9-]{0,62}))*$/;

/** The operation of an API description that a call is to; `null` if it is to none. */
export type OperationOf = (call: LearntCall) => string | null;

/** What calls showed, by host and by agent. Bounded in all: what there is no room for is counted with the reason. */
export class Observations {
  readonly hosts = new Map<string, SeenHost>();
  readonly agents = new Map<string, SeenAgent>();
  /** Number of calls that were left out, by reason. */
  readonly left = new Map<string, number>();
  learnt = 0;
  readonly #room = new Room();
  readonly #operationOf: OperationOf;

  constructor(operationOf: OperationOf = () => null) {
    this.#operationOf = operationOf;
  }

  add(call: LearntCall): void {
    const why = this.#added(call);
    if (why === null) this.learnt += 1;
    else this.leaveOut(why);
  }

  /** Counts a call that is left out. */
  leaveOut(why: string): void {
    this.left.set(why, (this.left.get(why) ?? 0) + 1);
  }

  #added(call: LearntCall): string | null {
    if (!HOST.test(call.host)) return 'to a host that no catalog can name';
    const agent = this.agents.get(call.agent);
    if (agent === undefined && this.agents.size >= MAX_AGENTS) return `of more than ${MAX_AGENTS} agents`;
    const host = this.hosts.get(call.host);
    if (host === undefined && this.hosts.size >= MAX_HOSTS) return `to more than ${MAX_HOSTS} hosts`;
    const seen = host ?? new SeenHost(this.#room);
    const operation = this.#operationOf(call);
    const why = operation === null ? seen.add(call) : seen.addOperation(operation, call);
    if (why !== null) return why;
    this.hosts.set(call.host, seen);
    const one = agent ?? new SeenAgent(call.agent);
    this.agents.set(call.agent, one);
    one.add(call);
    return null;
  }
}

import type { JsonKind } from '../../core/action/call-shape.ts';
import type { LearntCall } from './learnt-call.ts';
import { membersIn } from './read-shape.ts';
import { allSeen, bothSeen, seenAgain } from './sightings.ts';
import type { Sightings } from './sightings.ts';

const MAX_NAMES = 64;

/** Room for what is kept of calls: nodes of paths, different calls, and their agents. It bounds the memory of all hosts together. */
export class Room {
  #left: number;

  constructor(size = 200_000) {
    this.#left = size;
  }

  /** Takes `wanted` places; `false` if there are too few. */
  take(wanted = 1): boolean {
    if (this.#left < wanted) return false;
    this.#left -= wanted;
    return true;
  }
}

/** What was seen of one method of a path, one tool, or one method of an agent or service. */
export class SeenCalls {
  /** By agent. */
  readonly agents = new Map<string, Sightings>();
  /** Kinds of members of the body or of the arguments, by the names on the way, joined by NUL; at most 64. */
  readonly members = new Map<string, Set<JsonKind>>();
  /** Names of the keys of the query, at most 64. */
  readonly query = new Set<string>();
  /** Whether names were left out, by the record or by the bounds here. */
  isCut = false;
  /** Whether one of them is a JSON-RPC call, whose method the path does not name. */
  isRpc = false;
  /** The path of the last call. */
  path = '';

  /** Adds a call. `false` if it is of another agent and there is no room for that. */
  add({ agent, at, path, shape }: LearntCall, room: Room): boolean {
    if (!this.agents.has(agent) && !room.take()) return false;
    this.agents.set(agent, seenAgain(this.agents.get(agent), at));
    this.path = path;
    if (shape.cut === true) this.isCut = true;
    if (shape.protocol === 'json-rpc') this.isRpc = true;
    for (const name of shape.query) this.#addKey(name);
    for (const { way, kind } of membersIn(shape)) this.#addMember(way.join('\0'), [kind]);
    return true;
  }

  /** Adds all that other calls showed. */
  merge(other: SeenCalls): void {
    for (const [agent, sightings] of other.agents) this.agents.set(agent, bothSeen(this.agents.get(agent), sightings));
    for (const name of other.query) this.#addKey(name);
    for (const [way, kinds] of other.members) this.#addMember(way, kinds);
    this.isCut ||= other.isCut;
    this.isRpc ||= other.isRpc;
    this.path = other.path;
  }

  /** All sightings, by whichever agent. */
  get all(): Sightings {
    return allSeen(this.agents.values());
  }

  #addKey(name: string): void {
    if (this.query.size < MAX_NAMES) this.query.add(name);
    else if (!this.query.has(name)) this.isCut = true;
  }

  #addMember(way: string, kinds: Iterable<JsonKind>): void {
    const known = this.members.get(way);
    if (known === undefined && this.members.size >= MAX_NAMES) this.isCut = true;
    else this.members.set(way, new Set([...(known ?? []), ...kinds]));
  }
}

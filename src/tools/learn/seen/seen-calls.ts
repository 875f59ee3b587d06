import type { JsonKind } from '../../../core/action/call-shape.ts';
import type { SeenCall } from '../learnt-call.ts';
import { membersIn } from '../read-shape.ts';
import { allSeen, bothSeen, seenAgain } from '../sightings.ts';
import { AGENT_BYTES, ownText, textBytes } from './room.ts';
import type { Room } from './room.ts';
import type { Sightings } from '../sightings.ts';

const MAX_NAMES = 64;
/** Longest name of a key or a member, and longest path, that is kept. */
const MAX_NAME = 128;
const MAX_PATH = 1_024;

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
  /** The path of the first call that is short enough to be written. */
  path = '';

  /** Adds a call. `false` if its agent is new here and there is no room for another agent. */
  add({ agent, at, path, shape }: SeenCall, room: Room): boolean {
    if (!this.agents.has(agent) && !room.take(agent, AGENT_BYTES)) return false;
    this.agents.set(agent, seenAgain(this.agents.get(agent), at));
    if (this.path === '' && path.length <= MAX_PATH) this.path = ownText(path);
    if (shape.cut === true) this.isCut = true;
    if (shape.protocol === 'json-rpc') this.isRpc = true;
    const has = (bytes: number): boolean => room.take(agent, bytes);
    for (const name of shape.query) this.#addKey(name, has);
    for (const { way, kind } of membersIn(shape)) this.#addMember(way.join('\0'), [kind], has);
    return true;
  }

  /** Adds all that other calls showed. */
  merge(other: SeenCalls): void {
    for (const [agent, sightings] of other.agents) this.agents.set(agent, bothSeen(this.agents.get(agent), sightings));
    for (const name of other.query) this.#addKey(name, isPaid);
    for (const [way, kinds] of other.members) this.#addMember(way, kinds, isPaid);
    this.isCut ||= other.isCut;
    this.isRpc ||= other.isRpc;
    if (this.path === '') this.path = other.path;
  }

  /** All sightings, of any agent. */
  get all(): Sightings {
    return allSeen(this.agents.values());
  }

  #addKey(name: string, has: (bytes: number) => boolean): void {
    if (this.query.has(name)) return;
    if (this.query.size >= MAX_NAMES || name.length > MAX_NAME || !has(textBytes(name))) this.isCut = true;
    else this.query.add(ownText(name));
  }

  #addMember(way: string, kinds: Iterable<JsonKind>, has: (bytes: number) => boolean): void {
    const known = this.members.get(way);
    if (known !== undefined) for (const kind of kinds) known.add(kind);
    else if (this.members.size >= MAX_NAMES || way.length > 2 * MAX_NAME || !has(MEMBER_BYTES + textBytes(way)))
      this.isCut = true;
    else this.members.set(ownText(way), new Set(kinds));
  }
}

/** Merged names have taken their room already. */
const isPaid = (): boolean => true;

/** Bytes of the set of kinds of a member. */
const MEMBER_BYTES = 250;

/** Bytes that one node of a path takes, with its maps. */
export const NODE_BYTES = 800;
/** Bytes that one action takes. */
export const CALLS_BYTES = 1_200;
/** Bytes that one agent at one action takes, with what is written of it: its lines of a policy, an intent and tests. */
export const AGENT_BYTES = 1_600;

const MIB = 1_024 * 1_024;
/** The part of the room that one agent can take: a tenth. */
const SHARES = 10;

/** Bytes of a text, without the collection that holds it. */
export const textBytes = (text: string): number => 64 + 2 * text.length;

/**
 * A memory budget for what is kept of calls of all hosts, in estimated bytes; 64 MiB by default. One agent takes at most a tenth,
 * so that an agent that calls everything leaves room for others.
 */
export class Room {
  #left: number;
  readonly #share: number;
  readonly #taken = new Map<string, number>();

  constructor(bytes = 64 * MIB) {
    this.#left = bytes;
    this.#share = bytes / SHARES;
  }

  /** Takes room for an agent; `false` if there is too little left, or the agent has its share. */
  take(agent: string, bytes: number): boolean {
    if (!this.has(agent, bytes)) return false;
    this.#left -= bytes;
    this.#taken.set(agent, (this.#taken.get(agent) ?? 0) + bytes);
    return true;
  }

  /** Whether there is so much room for an agent. */
  has(agent: string, bytes: number): boolean {
    return this.#left >= bytes && (this.#taken.get(agent) ?? 0) + bytes <= this.#share;
  }
}

/** A copy of a text: in V8 a slice keeps the whole text that it was cut from in memory. */
export const ownText = (text: string): string => Buffer.from(text, 'utf8').toString('utf8');

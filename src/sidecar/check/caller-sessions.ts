import { LRUCache } from 'lru-cache';
import type { PriorCall } from '../../core/action/mcp/prior-calls.ts';
import { upTo } from '../../core/runtime/collections/up-to.ts';

/** The calls of one session. */
export interface Session {
  readonly calls: Map<string, PriorCall & { untilMs: number }>;
  readonly answers: Set<string>;
  /** Until when a message could belong to a forgotten call: nothing is continued before then. */
  cutUntilMs: number;
  /** Its size. */
  chars: number;
}

/** How long a call can be continued, from the last time it was made. */
export const LIFE_MS = 3_600_000;
/** Room of the sessions of one caller, in characters: the least recently used go first. */
const MAX_CHARS = 196_608;
const MAX_SESSIONS = 256;
const SESSION_CHARS = 256;
/** Forgotten sessions whose names are kept. Beyond it, no new session of the caller can be continued for a while. */
const MAX_FORGOTTEN = 4_096;
const NAME_CHARS = 64;

/**
 * The sessions of one caller. INVARIANT: a session that was forgotten for lack of room continues nothing until its calls are over, even
 * if further calls are made in it: a message could belong to a forgotten call, and would be judged as part of the others alone.
 */
export class CallerSessions {
  readonly #sessions: LRUCache<string, Session>;
  /** Until when each forgotten session could still be continued. */
  readonly #forgotten: LRUCache<string, number>;
  /** The same, of sessions whose names are forgotten too. */
  #cutUntilMs = 0;
  #nowMs = 0;

  constructor() {
    this.#forgotten = new LRUCache({
      ...upTo(MAX_FORGOTTEN),
      dispose: (untilMs, _name, reason) => {
        if (reason === 'evict') this.#cutUntilMs = Math.max(this.#cutUntilMs, untilMs);
      },
    });
    this.#sessions = new LRUCache({
      max: MAX_SESSIONS,
      maxSize: MAX_CHARS,
      dispose: (session, name, reason) => {
        if (reason === 'evict') this.#forgotten.set(name, this.#lastUseMs(session));
      },
    });
  }

  /** The size of all. */
  get chars(): number {
    return SESSION_CHARS + this.#sessions.calculatedSize + NAME_CHARS * this.#forgotten.size;
  }

  /** The session of a name; `undefined` if it is not known, or was forgotten. */
  get(name: string): Session | undefined {
    return this.#sessions.get(name);
  }

  /** The session of a name, new if it is not known. */
  open(name: string): Session {
    const cutUntilMs = Math.max(this.#cutUntilMs, this.#forgotten.get(name) ?? 0);
    return this.get(name) ?? { calls: new Map(), answers: new Set(), cutUntilMs, chars: SESSION_CHARS };
  }

  /** Stores a session with its current size. */
  keep(name: string, session: Session, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#forgotten.delete(name);
    // The cache reads the size of a value only when it adds it.
    this.#sessions.delete(name);
    this.#sessions.set(name, session, { size: session.chars });
  }

  #lastUseMs({ calls, cutUntilMs }: Session): number {
    const lastMs = Math.max(cutUntilMs, ...Array.from(calls.values(), ({ untilMs }) => untilMs));
    return Math.min(lastMs, this.#nowMs + LIFE_MS);
  }
}

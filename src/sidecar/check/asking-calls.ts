import { hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Action } from '../../core/action/http/http.ts';
import { noPriorCalls } from '../../core/action/mcp/prior-calls.ts';
import type { PriorCalls } from '../../core/action/mcp/prior-calls.ts';
import type { Caller } from '../../core/identity/caller.ts';
import type { Credential } from '../../core/token/credential.ts';
import { CallerSessions, LIFE_MS } from './caller-sessions.ts';
import type { Session } from './caller-sessions.ts';

/** Most different calls of one session: any of them may be meant by what follows, so each is judged. */
const MAX_CALLS = 16;
/** Most answers of one session. */
const MAX_ANSWERS = 256;
/** Longest arguments of a call, in characters of JSON. */
const MAX_CALL_CHARS = 4096;
/** Room of all callers, in characters: the least recently used go first. */
const MAX_CHARS = 8_388_608;
const ANSWER_CHARS = 64;

/** Whose calls a message can continue: those of the same caller, for the same task, in the same session of the same server. */
export interface SessionOf {
  readonly caller: Caller;
  readonly credential: Credential;
  readonly server: string;
  /** `Mcp-Session-Id`; `null` if absent. */
  readonly session: string | null;
}

/**
 * The allowed calls about which a server may ask back, or which may have become tasks, so that what follows is judged as part of them. Kept
 * in memory only: in another process, or after a restart, the follow-up calls are denied. Bounded for each session, for each caller and in
 * all. After a call that does not fit, nothing in its session can be continued for a while: it might belong to the forgotten call.
 */
export class AskingCalls {
  readonly #callers = new LRUCache<string, CallerSessions>({ max: 16_384, maxSize: MAX_CHARS });

  /** Remembers an allowed call, if the server may ask back about it, and an answer that was let through. */
  allowed(action: Action, of: Omit<SessionOf, 'server' | 'session'>, nowMs: number): void {
    const { asks, continues, server } = action;
    if (asks !== undefined) this.#add(action, { ...of, server: server.id, session: asks.session }, nowMs);
    if (continues === undefined) return;
    const { answer, session } = continues.message;
    if (answer === null) this.#extend(action, { ...of, server: server.id, session }, nowMs);
    else this.#note(String(answer), { ...of, server: server.id, session }, nowMs);
  }

  /** The calls that a message of this session can continue. */
  of(session: SessionOf, nowMs: number): PriorCalls {
    const known = this.#callers.get(callerOf(session))?.get(keyOf(session));
    if (known === undefined) return noPriorCalls;
    forgetOld(known, nowMs);
    return {
      calls: Array.from(known.calls.values(), ({ action, args }) => ({ action, args })),
      isCut: nowMs < known.cutUntilMs,
      isAnswered: (id) => known.answers.has(String(id)),
    };
  }

  #add(action: Action, of: SessionOf, nowMs: number): void {
    const { id, args } = action;
    this.#change(of, nowMs, (session) => {
      forgetOld(session, nowMs);
      const text = callText(action);
      const known = session.calls.get(text);
      if (known !== undefined) known.untilMs = nowMs + LIFE_MS;
      else if (text.length > MAX_CALL_CHARS || session.calls.size === MAX_CALLS) session.cutUntilMs = nowMs + LIFE_MS;
      else {
        session.calls.set(text, { action: id, args, untilMs: nowMs + LIFE_MS });
        session.chars += 2 * text.length;
      }
    });
  }

  /** A task that is asked for can still be asked for later. */
  #extend(action: Action, of: SessionOf, nowMs: number): void {
    const call = this.#callers.get(callerOf(of))?.get(keyOf(of))?.calls.get(callText(action));
    if (call !== undefined) call.untilMs = nowMs + LIFE_MS;
  }

  /** A request of the server is answered once. */
  #note(answer: string, of: SessionOf, nowMs: number): void {
    this.#change(of, nowMs, (session) => {
      // Beyond this, an open question cannot be distinguished from an answered question: nothing more in this session can be continued.
      if (session.answers.size === MAX_ANSWERS) session.cutUntilMs = Infinity;
      else if (!session.answers.has(answer)) {
        session.answers.add(answer);
        session.chars += ANSWER_CHARS + answer.length;
      }
    });
  }

  /** Changes a session, which is new if it is not known, and stores it with its new size. */
  #change(of: SessionOf, nowMs: number, change: (session: Session) => void): void {
    const caller = callerOf(of);
    const sessions = this.#callers.get(caller) ?? new CallerSessions();
    const session = sessions.open(keyOf(of));
    change(session);
    sessions.keep(keyOf(of), session, nowMs);
    // The cache reads the size of a value only when it adds it.
    this.#callers.delete(caller);
    this.#callers.set(caller, sessions, { size: sessions.chars });
  }
}

function forgetOld(session: Session, nowMs: number): void {
  for (const [text, { untilMs }] of session.calls) {
    if (nowMs < untilMs) continue;
    session.calls.delete(text);
    session.chars -= 2 * text.length;
  }
}

/** Equal for equal calls. */
const callText = ({ id, args }: Action): string => JSON.stringify([id, ...args]);

const callerOf = ({ caller }: Pick<SessionOf, 'caller'>): string => caller.id;

/** One key for any length of an id that the server chose. */
const keyOf = ({ credential, server, session }: SessionOf): string =>
  hash('sha256', JSON.stringify([server, session, ...taskOf(credential)]), 'base64url');

/** The task of a credential; if it has none, the subject it acts for. */
function taskOf(credential: Credential): readonly string[] {
  if (credential.kind === 'workload-identity') return [];
  return credential.kind === 'task-token'
    ? [credential.issuer, credential.taskId]
    : [credential.issuer, credential.subject, credential.clientId ?? ''];
}

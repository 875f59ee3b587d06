import type { HttpCall } from '../action/call.ts';
import type { Risk, Server } from '../action/catalog.ts';
import type { Action } from '../action/http.ts';
import type { Caller } from '../identity/caller.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import type { Task } from '../task/task.ts';
import type { BindingMode } from '../token/binding.ts';
import type { TaskToken } from '../token/claims.ts';

/** A value of Cedar in its JSON form. Only `now` is ever an extension value; no value is an entity. */
export type CedarValue = string | number | boolean | readonly CedarValue[] | CedarRecord;

/** A record of Cedar. Its names are Remit's own or the catalog's, never the caller's. */
export interface CedarRecord {
  readonly [name: string]: CedarValue;
}

/** What the policies are asked: may this agent do this, there, under these circumstances? */
export interface Question {
  readonly principal: SpiffeId;
  /** An action of the catalog, or `issue`. */
  readonly action: string;
  readonly server: Server;
  /** `GET /v1/payments/{id}`; `null` where the question is about the server itself. */
  readonly endpoint: string | null;
  /** Valid by the generated schema, by construction. */
  readonly context: CedarRecord;
}

/** What is known about one use of a task token. */
export interface UseFacts {
  readonly call: Pick<HttpCall, 'method' | 'host' | 'path'>;
  readonly caller: Pick<Caller, 'id'>;
  readonly token: Pick<TaskToken, 'kind' | 'subject' | 'actors' | 'details' | 'expiresAtSeconds'>;
  readonly task: Pick<Task, 'purpose' | 'createdAtMs'>;
  readonly action: Action;
  readonly binding: BindingMode;
  /** Which use of its token this is, from 1. */
  readonly use: number;
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
}

/** The question whether one call of a task may pass. */
export const useQuestion = ({ call, caller, token, task, action, binding, use, nowMs }: UseFacts): Question => ({
  principal: caller.id,
  action: action.id,
  server: action.server,
  endpoint: action.endpoint,
  context: {
    intent: {
      purpose: task.purpose,
      actions: distinct(token.details.flatMap((detail) => detail.actions)),
      ageSeconds: Math.max(0, wholeSeconds(nowMs - task.createdAtMs)),
    },
    subject: token.subject,
    actors: distinct(token.actors),
    credential: {
      kind: token.kind,
      binding,
      secondsLeft: Math.max(0, token.expiresAtSeconds - wholeSeconds(nowMs)),
      uses: use,
    },
    request: { method: call.method, host: call.host, path: call.path },
    // The level that risk signals have raised; no signal is received yet.
    risk: 'low',
    now: datetime(nowMs),
    args: Object.fromEntries(action.args),
  },
});

/** What is known when a token is asked for. */
export interface IssueFacts {
  readonly agent: SpiffeId;
  readonly server: Server;
  readonly purpose: string;
  /** Every action of the intent, families (`payments.*`) included. */
  readonly actions: readonly string[];
  /** The one action the question is about; an intent is granted only where each of its actions is. */
  readonly requested: { readonly action: string; readonly risk: Risk };
  readonly ttlSeconds: number;
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
}

/** The question whether a task token may be issued for one action of an intent. */
export const issueQuestion = (facts: IssueFacts): Question => ({
  principal: facts.agent,
  action: 'issue',
  server: facts.server,
  endpoint: null,
  context: {
    intent: { purpose: facts.purpose, actions: distinct(facts.actions) },
    requested: { action: facts.requested.action, risk: facts.requested.risk },
    ttlSeconds: facts.ttlSeconds,
    now: datetime(facts.nowMs),
  },
});

const wholeSeconds = (ms: number): number => Math.floor(ms / 1000);

const distinct = (values: readonly string[]): readonly string[] => [...new Set(values)].sort();

/** Whole seconds, so that questions of one second are equal. An instant no Date can hold makes the engine refuse. */
const datetime = (ms: number): CedarRecord => {
  const date = new Date(wholeSeconds(ms) * 1000);
  const arg = Number.isNaN(date.getTime()) ? '' : `${date.toISOString().slice(0, -'.000Z'.length)}Z`;
  return { __extn: { fn: 'datetime', arg } };
};

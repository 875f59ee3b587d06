import type { HttpCall } from '../action/http/call.ts';
import type { PassingHeader } from '../action/secrets/excepted-secret.ts';
import type { Action } from '../action/http/http.ts';
import type { StaticSecret } from '../action/secrets/static-secret.ts';
import { isDeny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import type { Caller } from '../identity/caller.ts';
import type { RefusedCaller } from '../identity/refused-caller.ts';
import type { Orders } from '../order/orders.ts';
import type { TaskHistory } from '../task/history.ts';
import type { IssuedTokenState } from '../task/issued-token.ts';
import type { Task } from '../task/task.ts';
import type { AuthorizationScheme } from '../token/authorization-header.ts';
import type { SpanReference, TaskToken } from '../token/claims.ts';
import type { Credential } from '../token/credential.ts';
import type { Proof } from '../token/proof/proof.ts';
import type { ReuseClass } from '../token/reuse.ts';

/** How the credential reached Remit. */
export interface Presented {
  readonly scheme: AuthorizationScheme;
  /** The verified proof of possession of this call, or why it is invalid; `null` if none was sent. */
  readonly proof: Proof | null | Deny;
}

/** What is known about one call when it is decided; each stage's result, or the denial it came to. */
export interface CallFacts {
  readonly call: HttpCall | Deny;
  readonly caller: Caller | Deny;
  /** What a caller that was refused showed of itself, for records alone: no decision reads it. */
  readonly refusedCaller?: RefusedCaller;
  /**
   * The caller of a request that could not be read, and its host (`null` if it names no single host). Only used to judge whether
   * the call is observed, and whether a stop or its token denies it even then.
   */
  readonly seen?: { readonly caller: Caller | Deny; readonly host: string | null };
  /** The long-lived credentials in the call. */
  readonly secrets: readonly StaticSecret[];
  /** Headers with a single credential, which may pass: it is for the upstream, so the call is not authenticated by it. */
  readonly passing: readonly PassingHeader[];
  readonly credential: Credential | Deny;
  readonly presented: Presented;
  /** The current state of the task of a task token; `undefined` if the store has no such task. */
  readonly task: Task | Deny | undefined;
  /** The stored state of the token itself; `undefined` if it is not a token of the task. */
  readonly issued: IssuedTokenState | undefined;
  /** The earlier allowed uses of the task; empty without a task. */
  readonly history: TaskHistory;
  readonly action: Action | Deny;
  /** The orders in force: what operators stopped. */
  readonly orders: Orders;
  /** Which use of its token this is, from 1; 0 without a token. */
  readonly use: number;
  /** How this use differs from earlier allowed uses of the token; empty without a token. */
  readonly reuse: readonly ReuseClass[];
  /** Span of the last use that another process reported, on the first use here alone; for records: no decision reads it. */
  readonly usedElsewhere?: SpanReference;
  /** Wall clock, milliseconds since the Unix epoch: identities and tokens are judged by it. */
  readonly nowMs: number;
  /**
   * The floor at the same instant, in the same unit. The task is judged by the later of the two clocks; its token expires by
   * either.
   */
  readonly floorMs: number;
}

/** The task token of the call; `null` if it has no verified task token. */
export const taskTokenOf = ({ credential }: Pick<CallFacts, 'credential'>): TaskToken | null =>
  !isDeny(credential) && credential.kind === 'task-token' ? credential : null;

import type { Agent } from 'node:https';
import { printable } from '../../core/ledger/timeline-text.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { taskId } from '../../core/token/jose/claim-readers.ts';
import { integer, members, optional, orNull, type Reader, text } from '../../core/runtime/fields.ts';
import { strictJsonFrom } from '../../core/token/jose/strict-json.ts';
import { checkedIntent, type CheckedIntent } from './checked-intent.ts';
import type { OAuthDeclaration } from './declaration.ts';
import { askIssuer } from './issuer-call.ts';
import type { IssuerAnswer, IssuerPlace, OutgoingRequest } from './issuer-call.ts';
import { type ListedTools, listedTools } from './listed-tools.ts';
import type { OwnSvid } from '../run/own-svid.ts';
import { isIssuerProblem, issuerProblem, type IssuerProblem, isStopReason } from './issuer-problem.ts';
import type { ProofKey } from './proof-key.ts';

/** A token from the issuer. */
export interface TaskCredential {
  readonly taskId: string;
  /** The token itself. A secret. */
  readonly token: string;
  /** Its `token_type`. */
  readonly type: string;
  /** When it was requested, and when it expires: milliseconds since the Unix epoch. */
  readonly askedAtMs: number;
  readonly expiresAtMs: number;
  /** Thumbprint of the certificate it is bound to. */
  readonly boundTo: string;
}

/** The issuer's view of a task, as far as a run needs it. */
export interface TaskView {
  readonly id: string;
  readonly state: string;
  readonly deadline: string;
  /** Why it is not active, in words for people; `null` while active. */
  readonly causeNote: string | null;
  /** Raised by each resume, which invalidates earlier tokens. 1 if the issuer does not send it. */
  readonly generation: number;
  /** The `traceparent` of the span in which the intent was accepted; `null` if not sent. */
  readonly traceparent: string | null;
}

/** Identity and clock of a client. */
export interface ClientOptions {
  /** The agent's SVID, read before each connection. */
  readonly svid: Pick<OwnSvid, 'now'>;
  readonly nowMs: () => number;
  /** The key to which tokens are bound. Default none: they are bound to the certificate. */
  readonly proofKey?: ProofKey | null;
  /** Keeps connections to the issuer. Default none: each request has a connection of its own. */
  readonly agent?: Agent;
}

/**
 * The issuer's API for an agent: OAuth over mTLS.
 *
 * @see RFC 6749 section 4.4, RFC 8705, RFC 8707, RFC 9396
 */
export class IssuerClient {
  readonly #place: Pick<IssuerPlace, 'url' | 'id'>;
  readonly #options: ClientOptions;
  /** The issuer's own URL, once it was asked for. */
  #ownUrl: string | null = null;

  constructor(place: Pick<IssuerPlace, 'url' | 'id'>, options: ClientOptions) {
    this.#place = place;
    this.#options = options;
  }

  /** Declares an intent and returns the first token of the new task. @param traceparent of the caller; `null` if it sent none */
  declare(declaration: OAuthDeclaration, traceparent: string | null): Promise<TaskCredential | IssuerProblem> {
    return this.#token('/oauth/token', declared(declaration, traceparent));
  }

  /** What would be granted of an intent, without granting it. @param traceparent as for `declare` */
  async check(declaration: OAuthDeclaration, traceparent: string | null): Promise<CheckedIntent | IssuerProblem> {
    const answer = await this.#ask({
      method: 'POST',
      path: '/intents/check',
      ...declared(declaration, traceparent),
    });
    return isIssuerProblem(answer) ? answer : issuerValueOf(answer, checkedIntent);
  }

  /** The tools that a task may use; `null` if nothing is to be hidden of its upstream. */
  async tools(taskId: string): Promise<ListedTools | null | IssuerProblem> {
    const answer = await this.#ask({
      method: 'POST',
      path: '/intents/check',
      body: new URLSearchParams({ task: taskId }).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
    return isIssuerProblem(answer) ? answer : issuerValueOf(answer, listedTools);
  }

  /** Another token of an active task, bound to the current certificate. */
  further(taskId: string): Promise<TaskCredential | IssuerProblem> {
    return this.#token(`/tasks/${taskId}/token`, { body: '', headers: {} });
  }

  /** The current state of the task. */
  async task(taskId: string): Promise<TaskView | IssuerProblem> {
    return this.#view({ method: 'GET', path: `/tasks/${taskId}`, headers: {}, body: '' });
  }

  /** Ends the task. Idempotent for the same end; another end is `task_ended`. @param traceparent as for `declare` */
  async end(
    taskId: string,
    by: 'complete' | 'cancel',
    traceparent: string | null = null,
  ): Promise<TaskView | IssuerProblem> {
    const headers = tracedBy(traceparent);
    return this.#view({ method: 'POST', path: `/tasks/${taskId}/${by}`, headers, body: '' });
  }

  /** Suspends the task: no token of it is good until it is resumed. */
  async suspend(taskId: string): Promise<TaskView | IssuerProblem> {
    return this.#view({ method: 'POST', path: `/tasks/${taskId}/suspend`, headers: {}, body: '' });
  }

  /** Resumes a task that `suspend` has suspended; earlier tokens are dead. */
  resume(taskId: string): Promise<TaskCredential | IssuerProblem> {
    return this.#token(`/tasks/${taskId}/resume`, { body: '', headers: {} });
  }

  async #ask(asked: OutgoingRequest, place = this.#place): Promise<IssuerAnswer | IssuerProblem> {
    const { agent, svid: source } = this.#options;
    const svid = await source.now();
    if ('problem' in svid) return issuerProblem('svid', svid.problem);
    return askIssuer(place, svid, agent === undefined ? asked : { ...asked, agent });
  }

  async #token(path: string, sent: Pick<OutgoingRequest, 'body' | 'headers'>): Promise<TaskCredential | IssuerProblem> {
    const { nowMs, proofKey = null } = this.#options;
    const proof = proofKey === null ? {} : await this.#proof(path, proofKey);
    if (isIssuerProblem(proof)) return proof;
    // Read before sending, so that the token never lives longer here than at the issuer.
    const askedAtMs = nowMs();
    const answer = await this.#ask({ method: 'POST', path, body: sent.body, headers: { ...sent.headers, ...proof } });
    if (isIssuerProblem(answer)) return answer;
    const read = issuerValueOf(answer, tokenMembers);
    if (isIssuerProblem(read)) return read;
    // INVARIANT: a run that was to have tokens of its key never uses others.
    if (proofKey !== null && read.token_type !== 'DPoP')
      return issuerProblem('unexpected-answer', 'the issuer gave a token that is not bound to the key of the run');
    return {
      taskId: read.txn,
      token: read.access_token,
      type: read.token_type,
      askedAtMs,
      expiresAtMs: askedAtMs + read.expires_in * 1_000,
      boundTo: answer.boundTo,
    };
  }

  /** A proof for a request for a token: at the URL that the issuer has for itself, which may differ from the URL that it is reached at. */
  async #proof(path: string, proofKey: ProofKey): Promise<Readonly<Record<'dpop', string>> | IssuerProblem> {
    const own = this.#ownUrl ?? (await this.#askOwnUrl());
    if (typeof own !== 'string') return own;
    this.#ownUrl = own;
    return { dpop: proofKey.proofFor({ method: 'POST', url: `${own}${path}`, token: null }) };
  }

  /** @see RFC 8414 section 3 */
  async #askOwnUrl(): Promise<string | IssuerProblem> {
    const { origin, pathname } = new URL(this.#place.url);
    const path = `/.well-known/oauth-authorization-server${pathname.replace(/\/$/, '')}`;
    const answer = await this.#ask({ method: 'GET', path, headers: {}, body: '' }, { ...this.#place, url: origin });
    if (isIssuerProblem(answer)) return answer;
    const read = issuerValueOf(answer, metadataMembers);
    return isIssuerProblem(read) ? read : read.issuer.replace(/\/$/, '');
  }

  async #view(asked: OutgoingRequest): Promise<TaskView | IssuerProblem> {
    const answer = await this.#ask(asked);
    if (isIssuerProblem(answer)) return answer;
    const read = issuerValueOf(answer, taskMembers);
    if (isIssuerProblem(read)) return read;
    const isTraced = read.trace_id !== null && read.span_id !== null;
    return {
      id: read.id,
      state: read.state,
      deadline: read.deadline,
      causeNote: read.cause_note === null ? null : printable(read.cause_note),
      generation: read.generation,
      traceparent: isTraced ? `00-${read.trace_id}-${read.span_id}-01` : null,
    };
  }
}

/** The form of a declaration. */
const declared = (
  { resource, details, subject = null }: OAuthDeclaration,
  traceparent: string | null,
): Pick<OutgoingRequest, 'body' | 'headers'> => ({
  body: new URLSearchParams({
    ...(subject === null
      ? { grant_type: 'client_credentials' }
      : {
          grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
          subject_token: subject.token,
          subject_token_type: subject.type,
        }),
    resource,
    authorization_details: JSON.stringify(details),
  }).toString(),
  headers: {
    'content-type': 'application/x-www-form-urlencoded',
    ...tracedBy(traceparent),
  },
});

const tracedBy = (traceparent: string | null): OutgoingRequest['headers'] =>
  traceparent === null ? {} : { traceparent };

const hex = (length: number): Reader<string> =>
  text({
    max: length,
    // oxlint-disable-next-line remit/linear-expression -- anchored, one repetition of a fixed number
    grammar: { matches: (id) => new RegExp(`^[0-9a-f]{${length}}$`).test(id), words: `${length} digits in hex` },
  });

const MAX_TOKEN = 8_192;
const MAX_SECONDS = 86_400;

const ignoringOthers = { others: 'ignored' } as const;

const tokenMembers = members(
  {
    access_token: text({
      max: MAX_TOKEN,
      grammar: { matches: (token) => /^[A-Za-z0-9._~+/=-]+$/.test(token), words: 'a token as in RFC 6750' },
    }),
    token_type: text({ max: 16, grammar: { matches: (type) => /^[A-Za-z]+$/.test(type), words: 'a word' } }),
    expires_in: integer(1, MAX_SECONDS),
    txn: taskId,
  },
  ignoringOthers,
);

const metadataMembers = members({ issuer: text({ max: 2_048 }) }, ignoringOthers);

const taskMembers = members(
  {
    id: taskId,
    state: text({ max: 16, grammar: { matches: (state) => /^[a-z]+$/.test(state), words: 'a word' } }),
    deadline: text({ max: 32, grammar: { matches: (at) => /^[0-9TZ:.-]+$/.test(at), words: 'an instant' } }),
    cause_note: optional(orNull(text({ max: 4_096 }))),
    generation: optional(integer(1, 2 ** 31), 1),
    trace_id: optional(hex(32)),
    span_id: optional(hex(16)),
  },
  ignoringOthers,
);

const errorMembers = members(
  { error: text({ max: 64 }), error_description: optional(text({ max: 2_048 })), reason: optional(text({ max: 64 })) },
  ignoringOthers,
);

/** The members of an answer with status 200 or 201; otherwise the error it contains. */
export function issuerValueOf<T>({ status, body }: IssuerAnswer, reader: Reader<T>) {
  const json = strictJsonFrom(body);
  if (status === 200 || status === 201) {
    const read = isProblem(json) ? json : reader(json.value);
    return isProblem(read) ? issuerProblem('unexpected-answer', `the answer ${read.problem}`) : read;
  }
  const read = isProblem(json) ? json : errorMembers(json.value);
  if (isProblem(read)) return issuerProblem('unexpected-answer', `status ${status} without an OAuth error`);
  const problem = issuerProblem(read.error, read.error_description ?? `status ${status}`);
  return isStopReason(read.reason) ? { ...problem, reason: read.reason } : problem;
}

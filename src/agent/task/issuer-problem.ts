import type { ReasonCode } from '../../core/decision/reasons.ts';
import { reasons } from '../../core/decision/reasons.ts';
import { printable } from '../../core/ledger/timeline-text.ts';

/** A failed request to the issuer. */
export interface IssuerProblem {
  readonly kind: 'issuer-problem';
  /** The `error` of the answer, or a code of our own: `svid` (no SVID to connect with), `unreachable`, `unexpected-answer`. */
  readonly error: string;
  /** The issuer's description. Never a token or a key. */
  readonly description: string;
  /** Whether the same request may succeed later. */
  readonly isTransient: boolean;
  /** Whether no connection was made, so that the issuer has received nothing. Absent otherwise. */
  readonly isUnsent?: true;
  /** The stop because of which it is refused. Absent otherwise. */
  readonly reason?: StopReason;
  /** The state of the task, if that is the reason and is known. */
  readonly taskState?: string;
}

/** A reason of Remit for what an operator stopped. */
export type StopReason = Extract<ReasonCode, `stopped.${string}`>;

/** Whether a word is a reason of Remit for what an operator stopped. */
export const isStopReason = (word: string | null): word is StopReason =>
  word !== null && word.startsWith('stopped.') && Object.hasOwn(reasons, word);

/** Whether a request failed. */
export const isIssuerProblem = (value: unknown): value is IssuerProblem =>
  typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'issuer-problem';

const MAX_DESCRIPTION = 500;

/** Makes a problem; control characters in text from the wire are replaced. */
export const issuerProblem = (error: string, description: string): IssuerProblem => ({
  kind: 'issuer-problem',
  error: printable(error.slice(0, 64)),
  // A character that the cut has halved would make the message of a gRPC status unwritable.
  description: printable(description.slice(0, MAX_DESCRIPTION).toWellFormed()),
  isTransient: transient.has(error),
});

const transient: ReadonlySet<string> = new Set([
  'svid',
  'unreachable',
  'unexpected-answer',
  'invalid_client',
  'server_error',
  'slow_down',
  'temporarily_unavailable',
  'task_suspended',
]);

/** What a developer can do about each error. */
const cures: ReadonlyMap<string, string> = new Map([
  [
    'svid',
    'name the files of this workload with --svid-cert, --svid-key and --bundle, or its Workload API with --workload-api',
  ],
  [
    'unreachable',
    'is `remit serve` running there, does --issuer name its host and port, and is --bundle its trust domain?',
  ],
  ['unexpected-answer', 'does --issuer name the issuer of Remit rather than a proxy before it?'],
  ['invalid_client', 'the issuer must accept the trust domain of this SVID, and the SVID must not be near its end'],
  ['invalid_target', 'name a resource as the issuer knows it: the `audience` of a server in its actions.yaml'],
  ['invalid_scope', 'the actions of the intent are the scope; leave it out'],
  [
    'invalid_authorization_details',
    'ask for less: fewer actions, a narrower constraint or a shorter --ttl (`remit intent check FILE` says of each action whether it is granted), or change the policies for `issue`',
  ],
  [
    'access_denied',
    'stop: somebody else stopped a like task. Do not declare another, nor other actions for the same end; ask the operator',
  ],
  ['not_found', 'this SPIFFE ID has no such task at this issuer, or the issuer is older than this command'],
  ['task_ended', 'a task that has ended stays ended: declare a new task'],
  ['task_suspended', 'an operator must resume the task first'],
  ['slow_down', 'try again later; the operator bounds each SPIFFE ID by `issuer.limits`'],
  ['server_error', 'the log of the issuer says why'],
  ['temporarily_unavailable', 'try again; the log of the issuer says why'],
]);

const STOPPED = 'stop: an operator must lift it (`remit stop list` names it). No new token, task or other action helps';

/** A problem in at most two lines for people: what the issuer said, and what to do. */
export function problemLines({ error, description, reason }: IssuerProblem): readonly string[] {
  const cure = reason === undefined ? cures.get(error) : STOPPED;
  return [`${error}: ${description}`, ...(cure === undefined ? [] : [`to do: ${cure}`])];
}

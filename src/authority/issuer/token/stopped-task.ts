import { deny } from '../../../core/decision/decision.ts';
import type { StopFacts } from '../../../core/policy/issue-question.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import { stateUnavailable } from '../../../core/decision/unavailable.ts';
import type { Premises } from '../../../core/state/writes/premises.ts';
import { type CauseKind, kindOf } from '../../../core/task/cause.ts';
import type { Stop } from '../../../core/task/stop.ts';
import type { Intent } from './intent.ts';
import { type OAuthError, oauthError } from '../oauth-error.ts';
import type { Origin } from './origin.ts';
import type { IssuerServices } from '../services.ts';

/** The stop that concerns a declaration, with its query: a premise of the write. */
export type ReadStop = NonNullable<Premises['stop']>;

/** What it is read with. */
export interface StopServices {
  readonly authority: Pick<IssuerServices['authority'], 'stopOf' | 'floorMs'>;
  readonly settings: Pick<IssuerServices['settings'], 'url' | 'stoppedTaskWaitSeconds'>;
}

/**
 * Reads what stopped like tasks of the agent (`core/task/stop.ts`), and refuses the declaration while it must wait. `null` for a further
 * token: its task was declared before, and the state of that task decides.
 */
export async function admittedStop(
  intent: Intent,
  { place, subject }: Origin,
  services: StopServices,
): Promise<ReadStop | null | OAuthError> {
  const { authority, settings } = services;
  if (place.kind === 'same-task') return null;
  const actions = intent.actions.map(({ id }) => id);
  const query = { issuer: settings.url, agent: intent.agent, subject, actions };
  const was = await authority.stopOf(query);
  if (isStoreFailure(was)) {
    return oauthError('temporarily_unavailable', 'the state of the task is not available', stateUnavailable(was));
  }
  return stopRefusal(was, services) ?? { query, was };
}

/**
 * The refusal of a declaration while a like task is suspended, and for `stoppedTaskWaitSeconds` after it ended; `null` if none is due.
 * `access_denied`, since stock clients retry after `invalid_grant`, `invalid_client` and every status of a fault, but not after this error.
 */
function stopRefusal(stop: Stop | null, { authority, settings }: StopServices): OAuthError | null {
  const { stoppedTaskWaitSeconds: waitSeconds } = settings;
  if (stop === null || waitSeconds === null) return null;
  const who = stoppers[kindOf(stop.cause)];
  if (stop.endedAtMs === null) {
    return refusal(`${who} suspended a task of this client with an action of this intent: not before it is resumed`);
  }
  const untilMs = stop.endedAtMs + waitSeconds * 1_000;
  if (authority.floorMs() >= untilMs) return null;
  const until = new Date(Math.ceil(untilMs / 1_000) * 1_000).toISOString().replace('.000Z', 'Z');
  return refusal(`${who} stopped a task of this client with an action of this intent: not before ${until}`);
}

const refusal = (description: string): OAuthError => ({
  ...oauthError('access_denied', description, deny('task.stopped', description)),
  next: 'stop',
});

const stoppers: Readonly<Record<CauseKind, string>> = {
  agent: 'its agent',
  parent: 'the task above',
  deadline: 'its deadline',
  idle: 'its idle limit',
  binding: 'a token presented by another workload',
  context: 'a changed context',
  limit: 'a limit over all tasks',
  signal: 'a security event',
  operator: 'an operator',
};

/** What policies read of a stop; `undefined` if there is none. */
export function stopFacts(stop: Stop | null, nowMs: number): StopFacts | undefined {
  if (stop === null) return undefined;
  const { cause, endedAtMs, sinceMs } = stop;
  const seconds = Math.floor((nowMs - (endedAtMs ?? sinceMs)) / 1_000);
  return { cause: kindOf(cause), isSuspended: endedAtMs === null, secondsSince: Math.max(0, seconds) };
}

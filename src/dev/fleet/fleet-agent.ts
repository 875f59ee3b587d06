/** An agent of the story of a fleet: it declares tasks, ends them, and calls. */
import type { AgentReply } from '../agent.ts';
import type { StoryOutcome } from '../story.ts';
import { until } from '../until.ts';
import type { AuthorityNumber, DevFleet, SidecarNumber } from './dev-fleet.ts';
import { tokenRequest } from '../issuer-request.ts';

const AUDIENCE = 'https://payments.acme.test';
/** How long the agent retries: a first or a settled use is denied if no authority answers in time (250 ms or more). */
const RETRY_MS = 30_000;

/** A declared task. */
export interface FleetTask {
  readonly token: string;
  readonly id: string;
}

/** The answer to the end of a task: whether the sidecars have applied it. */
export interface FleetEnd {
  readonly seen: StoryOutcome;
  /** Such as `3 of 3 holders have applied it`. */
  readonly acknowledgement: string;
  /** From the request to the acknowledgement. */
  readonly ms: number;
  /** When it was acknowledged, by `performance.now()`. */
  readonly acknowledgedMs: number;
}

/** Declares a task at an authority. Rejects if it is not granted. */
export async function declareTask(
  fleet: DevFleet,
  at: AuthorityNumber,
  constraints: Readonly<Record<string, unknown>> = {},
): Promise<FleetTask> {
  const task = { actions: ['payments.read'], purpose: 'look at a payment', constraints };
  const reply = await askIssuer(fleet, at, tokenRequest(AUDIENCE, task));
  const { access_token: token, txn: id } = membersOf(reply);
  if (typeof token !== 'string' || typeof id !== 'string') throw new Error(`no token was issued: ${reply.status}`);
  return { token, id };
}

/** Completes a task at an authority. */
export async function completeTask(fleet: DevFleet, at: AuthorityNumber, { id }: FleetTask): Promise<FleetEnd> {
  const beganMs = performance.now();
  const reply = await askIssuer(fleet, at, { path: `/tasks/${id}/complete` });
  const acknowledgedMs = performance.now();
  const { enforcement } = membersOf(reply);
  const { enforced, holders, acknowledged, fenced } = objectOf(enforcement);
  return {
    seen: { status: reply.status, reason: enforced === true ? 'enforced' : 'not enforced' },
    acknowledgement: `${Number(acknowledged)} of ${Number(holders)} sidecars have applied it${fenced === 0 ? '' : `, the lease of ${Number(fenced)} is over`}`,
    ms: acknowledgedMs - beganMs,
    acknowledgedMs,
  };
}

/** One call through the Envoy of a sidecar. */
export async function useToken(fleet: DevFleet, at: SidecarNumber, { token }: FleetTask): Promise<StoryOutcome> {
  const reply = await fleet.agent.call(fleet.envoyPort(at), {
    host: 'payments.acme.test',
    path: '/v1/payments/p-1',
    headers: { authorization: `Bearer ${token}` },
  });
  const { reason } = membersOf(reply);
  return { status: reply.status, reason: typeof reason === 'string' ? reason : null };
}

/** As `useToken`; a call that is answered with 503, since it could not be decided in time, is retried for up to 30 s. */
export async function useTokenPatiently(fleet: DevFleet, at: SidecarNumber, task: FleetTask): Promise<StoryOutcome> {
  let seen = await useToken(fleet, at, task);
  const isOver = async (): Promise<boolean> => {
    if (seen.status !== 503) return true;
    seen = await useToken(fleet, at, task);
    return false;
  };
  await until(isOver, { what: 'an answer', withinMs: RETRY_MS }).catch(() => undefined);
  return seen;
}

/** The results of concurrent calls at all sidecars. */
export interface Race {
  readonly allowed: number;
  /** Calls that were denied since an answer did not come in time. Each may have taken a unit. */
  readonly unanswered: number;
  /** The longest time in which no call was allowed, in milliseconds. */
  readonly longestGapMs: number;
}

/** Calls at sidecars, one at a time at each, until each sidecar denies because the budget is used up. */
export async function spendBudget(
  fleet: DevFleet,
  sidecars: readonly SidecarNumber[],
  { task, onAllowed = () => undefined }: { readonly task: FleetTask; readonly onAllowed?: (count: number) => void },
): Promise<Race> {
  let [allowed, unanswered, longestGapMs, lastMs] = [0, 0, 0, performance.now()];
  const spend = async (at: SidecarNumber): Promise<void> => {
    for (;;) {
      const { status, reason } = await useToken(fleet, at, task);
      if (reason === 'task.exhausted') return;
      if (status !== 200) {
        unanswered += 1;
        await new Promise((resolve) => setTimeout(resolve, 25));
        continue;
      }
      allowed += 1;
      const nowMs = performance.now();
      longestGapMs = Math.max(longestGapMs, nowMs - lastMs);
      lastMs = nowMs;
      onAllowed(allowed);
    }
  };
  await Promise.all(sidecars.map(spend));
  return { allowed, unanswered, longestGapMs };
}

function askIssuer(
  fleet: DevFleet,
  at: AuthorityNumber,
  call: { readonly path: string; readonly headers?: Readonly<Record<string, string>>; readonly body?: string },
): Promise<AgentReply> {
  const port = fleet.issuerPort(at);
  return fleet.agent.call(port, { method: 'POST', host: `localhost:${port}`, ...call });
}

const membersOf = ({ body }: AgentReply): Readonly<Record<string, unknown>> => {
  try {
    return objectOf(JSON.parse(body));
  } catch {
    return {};
  }
};

const objectOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? { ...value } : {};

import type { CatalogAction, Server } from '../action/catalog.ts';
import { type Deny, deny, isDeny } from '../decision/decision.ts';
import { issueQuestion } from '../policy/question.ts';
import type { Task } from '../task/task.ts';
import type { TaskContext } from '../task/context-change.ts';
import { authorizationDetailsFrom } from '../token/authorization-details.ts';
import { isProblem } from '../token/members.ts';
import type { IssuerServices } from './services.ts';

/** What is different from when the task was accepted. */
export interface Circumstances {
  readonly context: TaskContext;
  readonly risk: Task['risk'];
}

/**
 * Asks the policies again what they were asked when the task was accepted, for each of its actions: `null` where all are
 * still granted, else the first refusal. An action that the catalog no longer has is refused.
 */
export function askAgain(task: Task, circumstances: Circumstances, services: IssuerServices): Deny | null {
  const catalog = services.catalog();
  if (isDeny(catalog)) return catalog;
  const details = authorizationDetailsFrom(JSON.parse(task.detailsJson));
  if (isProblem(details)) return deny('policy.not-permitted', 'the granted authorization_details are not readable');
  const actions = details.flatMap((detail) => detail.actions);
  for (const detail of details) {
    const server = catalog.serversByAudience.get(detail.locations[0] ?? '');
    for (const id of detail.actions) {
      const action = catalog.actions.get(id);
      if (server === undefined || action?.server !== server) {
        return deny('policy.not-permitted', `the catalog no longer has the action \`${id}\``);
      }
      const refusal = refusalOf({ task, server, action, actions }, circumstances, services);
      if (refusal !== null) return refusal;
    }
  }
  return null;
}

/** Whether the policies themselves refused, and not a fault kept them from answering. */
export const isRefusal = ({ reason }: Deny): boolean =>
  reason === 'policy.forbidden' || reason === 'policy.not-permitted';

interface Asked {
  readonly task: Task;
  readonly server: Server;
  readonly action: CatalogAction;
  readonly actions: readonly string[];
}

function refusalOf(
  { task, server, action, actions }: Asked,
  _circumstances: Circumstances,
  { grant, ports, settings, store }: IssuerServices,
): Deny | null {
  const secondsLeft = Math.max(0, Math.floor((task.deadlineMs - store.nowMs()) / 1_000));
  const decision = grant(
    issueQuestion({
      agent: task.agent,
      server,
      purpose: task.purpose,
      actions,
      requested: { action: action.id, risk: action.risk },
      ttlSeconds: Math.min(settings.tokenSeconds, secondsLeft),
      nowMs: ports.nowMs(),
    }),
  );
  return isDeny(decision) ? decision : null;
}

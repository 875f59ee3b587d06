import type { Catalog, CatalogAction, Server } from '../action/catalog.ts';
import { type Deny, deny, isDeny } from '../decision/decision.ts';
import { type IssueFacts, issueQuestion } from '../policy/question.ts';
import type { Task } from '../task/task.ts';
import { authorizationDetailsFrom, type Constraints } from '../token/authorization-details.ts';
import { isProblem } from '../token/members.ts';
import { delegationOf } from './grant.ts';
import type { IssuerServices } from './services.ts';

/**
 * Asks the policies again what they were asked when the task was accepted, for each of its actions and with its context as
 * given here: `null` where all are still granted, else the first refusal. An action that the catalog no longer has is
 * refused.
 *
 * @param task the task as it would go on
 */
export function askAgain(task: Task, services: IssuerServices): Deny | null {
  const catalog = services.catalog();
  if (isDeny(catalog)) return catalog;
  const details = authorizationDetailsFrom(JSON.parse(task.detailsJson));
  if (isProblem(details)) return deny('policy.not-permitted', 'the granted authorization_details are not readable');
  const delegation = delegationOf({ kind: 'same-task', task }, services.store);
  if (isDeny(delegation)) return delegation;
  const actions = details.flatMap((detail) => detail.actions);
  for (const detail of details) {
    const server = catalog.serversByAudience.get(detail.locations[0] ?? '');
    for (const id of detail.actions) {
      const action = catalog.actions.get(id);
      if (server === undefined || action?.server !== server) {
        return deny('policy.not-permitted', `the catalog no longer has the action \`${id}\``);
      }
      const refusal = refusalOf(
        { task, server, action, constraints: detail.constraints, actions, delegation, catalog },
        services,
      );
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
  readonly constraints: Constraints;
  readonly actions: readonly string[];
  readonly delegation: IssueFacts['delegation'];
  readonly catalog: Catalog;
}

function refusalOf(
  { task, server, action, constraints, actions, delegation, catalog }: Asked,
  { grant, ports, settings, store }: IssuerServices,
): Deny | null {
  const secondsLeft = Math.max(0, Math.floor((task.deadlineMs - store.nowMs()) / 1_000));
  const decision = grant(
    issueQuestion(
      {
        agent: task.agent,
        server,
        purpose: task.purpose,
        actions,
        requested: { action: action.id, risk: action.risk, constraints },
        ttlSeconds: Math.min(settings.tokenSeconds, secondsLeft),
        subject: task.subject,
        subjectAttributes: task.subjectAttributes,
        claimed: task.claimed,
        attested: task.attested,
        risk: task.risk,
        delegation,
        nowMs: ports.nowMs(),
      },
      catalog,
    ),
  );
  return isDeny(decision) ? decision : null;
}

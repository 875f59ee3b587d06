import type { CatalogAction, McpServer } from '../../../core/action/catalog/catalog.ts';
import { mcpOfServer } from '../../../core/action/catalog/mcp-of-server.ts';
import { observesAgent } from '../../../core/decide/mode.ts';
import type { Deny } from '../../../core/decision/decision.ts';
import type { Limit } from '../../../core/limit/limit.ts';
import { limitsForAgent } from '../../../core/limit/limit-spends.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { Task } from '../../../core/task/task.ts';
import type { AuthorizationDetail } from '../../../core/token/authorization-details.ts';
import { authorizationDetailsFrom } from '../../../core/token/authorization-details.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import { type OAuthError, oauthError } from '../oauth-error.ts';
import type { GrantPolicies, IssuerServices } from '../services.ts';
import { namedBy } from '../token/intent-entries.ts';
import { usesDeniedJson } from './intent-preview.ts';
import { limitsText } from './limits-text.ts';
import { taskUnavailable } from './readable-task.ts';

/** What becomes of the uses of an action of a task. */
interface TaskAction {
  readonly action: CatalogAction;
  /** The entries of the intent that name it. */
  readonly entries: readonly AuthorizationDetail[];
  /** Why every use would be denied; `null` if some use may pass. */
  readonly usesDenied: Deny | null;
}

/** A tool that a list may show. */
interface ShownInTask {
  readonly name: string;
  readonly action: string;
  readonly limits: string | null;
  /** The digest of the definition that was reviewed; `null` if it has no pin. */
  readonly pin: string | null;
}

/** The tools of an MCP server that a list may show in a task. */
export interface TaskTools {
  /** By their names on the wire, in the order of the catalog. */
  readonly shown: readonly ShownInTask[];
  /** Whether tools that the catalog does not name are shown too, since the task may use the action for everything else. */
  readonly hasOthers: boolean;
  /** Tools of the catalog that are hidden beside such others; empty without them. */
  readonly hidden: readonly string[];
  /** How the server answers denied calls: the agent's side answers in the same form the calls that it denies itself. */
  readonly denials: McpServer['denials'];
}

/** What the uses of a task may be. */
export interface TaskPreview {
  readonly actions: readonly TaskAction[];
  /** `null` if the server of the task has no MCP, or if its calls are only observed: then nothing is hidden. */
  readonly tools: TaskTools | null;
}

/** What the tools of a task are judged with. */
export interface TaskToolsServices {
  readonly policies: Pick<GrantPolicies, 'catalog' | 'everyUseDenied' | 'limits' | 'observed'>;
  readonly authority: Pick<IssuerServices['authority'], 'ordersInForce' | 'clocks'>;
  readonly nextTurn: IssuerServices['nextTurn'];
}

/**
 * Which actions of a task may be used by its intent and the policies, and which tools of its MCP server these are. Stops, budgets and the state of
 * the task are left out: they change from call to call, and a denied call says why.
 */
export async function taskPreview(task: Task, services: TaskToolsServices): Promise<TaskPreview | OAuthError> {
  const { authority, nextTurn, policies } = services;
  const { catalog } = policies;
  const details = authorizationDetailsFrom(JSON.parse(task.detailsJson));
  if (isProblem(details))
    return oauthError('invalid_authorization_details', `the authorization_details of the task ${details.problem}`);
  const server = catalog.serversByAudience.get(details[0]?.locations[0] ?? '');
  if (server === undefined) return oauthError('invalid_target', 'the catalog has the resource of the task no more');
  const entries = new Map<CatalogAction, AuthorizationDetail[]>();
  for (const detail of details) {
    for (const action of detail.actions.flatMap((named) => namedBy(named, catalog, server)))
      entries.set(action, [...(entries.get(action) ?? []), detail]);
  }
  const actions: TaskAction[] = [];
  for (const [action, named] of entries) {
    await nextTurn();
    const { agent, purpose, subject } = task;
    actions.push({ action, entries: named, usesDenied: policies.everyUseDenied({ agent, purpose, subject, action }) });
  }
  const orders = await authority.ordersInForce();
  if (isStoreFailure(orders)) return taskUnavailable(orders);
  const isObserved = observesAgent({ agent: task.agent, server: server.id }, policies, {
    orders,
    clocks: authority.clocks(),
  });
  const mcp = isObserved ? null : mcpOfServer(catalog, server);
  const limits = limitsForAgent(policies.limits, task.agent);
  return { actions, tools: mcp === null ? null : toolsOf(mcp, { actions, limits }) };
}

function toolsOf(
  mcp: McpServer,
  { actions, limits }: { readonly actions: readonly TaskAction[]; readonly limits: readonly Limit[] },
): TaskTools {
  const usable = new Map(
    actions.flatMap((one) =>
      one.usesDenied === null && one.action.accepts.has('task-token') ? [[one.action, one]] : [],
    ),
  );
  const tools = Array.from(mcp.tools, ([name, action]) => ({ name, action, usable: usable.get(action) }));
  // Beside pins, what the catalog does not name was not reviewed.
  const hasOthers = mcp.other !== null && mcp.pins.size === 0 && usable.has(mcp.other);
  return {
    shown: tools.flatMap(({ name, action, usable: use }) =>
      use === undefined
        ? []
        : [
            {
              name,
              action: action.id,
              limits: mcp.describesLimits ? limitsText(action, use.entries, limits) : null,
              pin: mcp.pins.get(name) ?? null,
            },
          ],
    ),
    hasOthers,
    hidden: hasOthers ? tools.flatMap(({ name, usable: use }) => (use === undefined ? [name] : [])) : [],
    denials: mcp.denials,
  };
}

/** The answer of the endpoint. Members without a value are absent. */
export const taskPreviewJson = (taskId: string, { actions, tools }: TaskPreview): object => ({
  task: taskId,
  actions: actions.map(({ action, usesDenied }) => ({
    action: action.id,
    granted: true,
    ...(usesDenied === null ? {} : { uses_denied: usesDeniedJson(usesDenied) }),
  })),
  ...(tools === null
    ? {}
    : {
        tools: {
          shown: tools.shown.map(({ name, action, limits, pin }) => ({
            name,
            action,
            ...(limits === null ? {} : { limits }),
            ...(pin === null ? {} : { pin }),
          })),
          ...(tools.hasOthers ? { others: true, hidden: tools.hidden } : {}),
          ...(tools.denials === 'result' ? {} : { denials: tools.denials }),
        },
      }),
});

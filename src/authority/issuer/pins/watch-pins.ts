import type { Catalog, McpServer } from '../../../core/action/catalog/catalog.ts';
import { mcpOfServer } from '../../../core/action/catalog/mcp-of-server.ts';
import { toolChanges, toolChangeText } from '../../../core/action/mcp/tool-changes.ts';
import type { ToolChange } from '../../../core/action/mcp/tool-changes.ts';
import { toolDifference, toolDifferenceText } from '../../../core/action/mcp/tool-difference.ts';
import { orderLifted, orderMade } from '../../../core/ledger/order-record.ts';
import { newStop } from '../../../core/order/new-stop.ts';
import { orderLimits, TOOL_PINS } from '../../../core/order/order.ts';
import type { StopOrder } from '../../../core/order/order.ts';
import { isObject } from '../../../core/runtime/fields.ts';
import { isProblem, type Problem } from '../../../core/runtime/problem.ts';
import { repeatedly } from '../../../core/runtime/repeatedly.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { After } from '../../../core/runtime/timers.ts';
import type { Authority } from '../../../core/state/authority.ts';
import { orderRecords } from '../orders/changed-order.ts';

/** What the look at pinned tools needs. */
export interface PinWatch {
  /** Ids of the servers that are looked at. */
  readonly servers: readonly string[];
  readonly everyMs: number;
  /** The catalog in force; `null` if there is none. */
  readonly catalog: () => Catalog | null;
  /** All tools that a server lists. */
  readonly list: (server: string) => Promise<readonly unknown[] | Problem>;
  readonly authority: Pick<Authority, 'ordersInForce' | 'putOrder' | 'liftOrder' | 'nowMs' | 'floorMs'>;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly after: After;
  readonly log: (line: string, event: PinEvent, fields: Readonly<Record<string, string>>) => void;
}

/** What is logged of pins. */
export type PinEvent = 'tool-changed' | 'tool-as-reviewed' | 'tools-not-listed';

type Tool = Readonly<Record<string, unknown>>;

/**
 * Looks again and again at what MCP servers list, and holds it against the pins of the catalog. A tool that is not as reviewed becomes an order that
 * goes to every sidecar, as a stop does: calls of its action are denied. Once the tool is as its pin says again, by the server or by a new pin, the
 * order is lifted. A server that does not answer changes nothing: what was denied stays denied. The returned function ends it.
 */
export function watchPins(watch: PinWatch): () => Promise<void> {
  const seen = new Map<string, Tool>();
  const look = async (): Promise<void> => {
    for (const server of watch.servers) await lookAt(server, seen, watch);
    await liftForgotten(watch);
  };
  return repeatedly(look, {
    everyMs: watch.everyMs,
    after: watch.after,
    onFault: (fault) => watch.log(`the pins of tools: ${fault}`, 'tools-not-listed', {}),
  });
}

/** @param seen the definitions that had their pin at an earlier look, to show what differs */
async function lookAt(server: string, seen: Map<string, Tool>, watch: PinWatch): Promise<void> {
  const mcp = pinnedMcp(server, watch.catalog());
  if (mcp === null) return;
  const listed = await watch.list(server);
  if (isProblem(listed)) {
    watch.log(`the tools of \`${server}\` could not be listed: ${listed.problem}`, 'tools-not-listed', { server });
    return;
  }
  const changes = new Map(toolChanges(listed, mcp).map((change) => [change.action, change]));
  const orders = await ordersOfPins(watch);
  if (orders === null) return;
  for (const change of changes.values()) {
    if (orders.some(({ what }) => what === change.action)) continue;
    await put(change, { server, differs: differenceOf(change, { server, listed, seen }) }, watch);
  }
  const actions = new Set(Array.from(mcp.pins.keys(), (name) => mcp.tools.get(name)?.id));
  for (const order of orders) {
    if (actions.has(order.what) && !changes.has(order.what)) await lift(order, watch);
  }
  for (const tool of listed) {
    if (!isObject(tool) || typeof tool['name'] !== 'string') continue;
    const id = mcp.tools.get(tool['name'])?.id;
    if (id !== undefined && mcp.pins.has(tool['name']) && !changes.has(id)) seen.set(`${server} ${tool['name']}`, tool);
  }
}

function pinnedMcp(server: string, catalog: Catalog | null): McpServer | null {
  const known = catalog?.servers.get(server);
  const mcp = catalog === null || known === undefined ? null : mcpOfServer(catalog, known);
  return mcp !== null && mcp.pins.size > 0 ? mcp : null;
}

/** The orders that say that a tool has changed; `null` if the state cannot be read. */
async function ordersOfPins({ authority }: PinWatch): Promise<readonly StopOrder[] | null> {
  const orders = await authority.ordersInForce();
  if (isStoreFailure(orders)) return null;
  return orders.list.flatMap((order) => (order.of === 'stop' && order.by === TOOL_PINS ? [order] : []));
}

async function put(
  change: ToolChange,
  { server, differs }: { readonly server: string; readonly differs: string },
  { authority, randomBytes, log }: PinWatch,
): Promise<void> {
  const text = toolChangeText(change);
  const maker = { by: TOOL_PINS, nowMs: authority.nowMs(), floorMs: authority.floorMs(), randomBytes };
  const because = text.slice(0, orderLimits.maxBecause);
  const order = newStop({ kind: 'action', what: change.action, minutes: null, because }, maker);
  if (isProblem(order)) throw new Error(`the order about \`${change.action}\` ${order.problem}`);
  const failure = await authority.putOrder(order, orderRecords(orderMade(order)));
  if (isStoreFailure(failure))
    throw new Error(`the order about \`${change.action}\` was not written: ${failure.detail}`);
  const difference = differs === '' ? '' : `: ${differs}`;
  log(`server \`${server}\`: ${text}; calls of \`${change.action}\` are denied${difference}`, 'tool-changed', {
    server,
    action: change.action,
    change: change.kind,
  });
}

async function lift(order: StopOrder, { authority, log }: PinWatch): Promise<void> {
  const because = 'the tool is as its pin says';
  const lifted = orderLifted(order, { by: TOOL_PINS, because, at: authority.nowMs() });
  const done = await authority.liftOrder(order.id, orderRecords(lifted));
  if (isStoreFailure(done)) throw new Error(`order \`${order.id}\` was not lifted: ${done.detail}`);
  log(`action \`${order.what}\`: ${because} again, and is allowed`, 'tool-as-reviewed', { action: order.what });
}

/** Lifts the orders about actions that have no pin any more: without a pin there is nothing that the tool could differ from. */
async function liftForgotten(watch: PinWatch): Promise<void> {
  const catalog = watch.catalog();
  const orders = catalog === null ? null : await ordersOfPins(watch);
  if (catalog === null || orders === null) return;
  const pinned = new Set(
    Array.from(catalog.servers.keys()).flatMap((server) => {
      const mcp = pinnedMcp(server, catalog);
      return mcp === null ? [] : Array.from(mcp.pins.keys(), (name) => mcp.tools.get(name)?.id);
    }),
  );
  for (const order of orders) if (!pinned.has(order.what)) await lift(order, watch);
}

/** What differs, if an earlier look saw the tool as its pin says; `''` otherwise. */
function differenceOf(
  { tool }: ToolChange,
  {
    server,
    listed,
    seen,
  }: { readonly server: string; readonly listed: readonly unknown[]; readonly seen: ReadonlyMap<string, Tool> },
): string {
  const before = seen.get(`${server} ${tool}`);
  const now = listed.find((one) => isObject(one) && one['name'] === tool);
  return before === undefined || !isObject(now) ? '' : toolDifferenceText(toolDifference(before, now));
}

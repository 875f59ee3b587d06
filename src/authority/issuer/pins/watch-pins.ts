import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Catalog, McpServer } from '../../../core/action/catalog/catalog.ts';
import { mcpOfServer } from '../../../core/action/catalog/mcp-of-server.ts';
import type { NoList } from '../../../core/action/mcp/server-tools.ts';
import { toolChanges, toolChangeText, unreadableTools } from '../../../core/action/mcp/tool-changes.ts';
import type { ToolChange } from '../../../core/action/mcp/tool-changes.ts';
import { toolDifference, toolDifferenceText } from '../../../core/action/mcp/tool-difference.ts';
import { pinnedMembers } from '../../../core/action/mcp/tool-pin.ts';
import { orderLifted, orderMade } from '../../../core/ledger/order-record.ts';
import { newStop } from '../../../core/order/new-stop.ts';
import { orderLimits, TOOL_PINS } from '../../../core/order/order.ts';
import type { StopOrder } from '../../../core/order/order.ts';
import { mapSeveral } from '../../../core/runtime/collections/map-several.ts';
import { isObject } from '../../../core/runtime/fields.ts';
import { nearestOf } from '../../../core/runtime/nearest-name.ts';
import { isProblem, type Problem } from '../../../core/runtime/problem.ts';
import { messageOfFault, repeatedly } from '../../../core/runtime/repeatedly.ts';
import { isStoreFailure } from '../../../core/runtime/store-failure.ts';
import type { After } from '../../../core/runtime/timers.ts';
import type { Authority } from '../../../core/state/authority.ts';
import { orderRecords } from '../orders/changed-order.ts';

/** What the watch over pinned tools needs. */
export interface PinWatch {
  /** Ids of the servers that are looked at. */
  readonly servers: readonly string[];
  readonly everyMs: number;
  /** The catalog in force; `null` if there is none. */
  readonly catalog: () => Catalog | null;
  /** All tools that a server lists. */
  readonly list: (server: string) => Promise<readonly unknown[] | NoList>;
  readonly authority: Pick<Authority, 'ordersInForce' | 'putOrder' | 'liftOrder' | 'nowMs' | 'floorMs'>;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly after: After;
  /** Called with each server whose tools were listed and compared. */
  readonly onListed: (server: string) => void;
  readonly log: (line: string, event: PinEvent, fields: Readonly<Record<string, string>>) => void;
}

/** What is logged of pins. */
export type PinEvent = 'tool-changed' | 'tool-as-reviewed' | 'tools-not-listed';

type Tool = Readonly<Record<string, unknown>>;

/** Maximum number of servers that are asked at once. */
const MAX_AT_ONCE = 8;

/** What earlier looks at a server have left. */
interface Looks {
  /** The pinned members of the definitions that had their pin, by the name of the tool, to show what differs later. */
  readonly seen: Map<string, Tool>;
  /** When its tools were listed last, in milliseconds since the Unix epoch; `null` if never. */
  listedAtMs: number | null;
  /** The catalog for which the log says that the server is not watched. */
  saidOf: Catalog | null;
}

/**
 * Periodically compares the tools that MCP servers list with the pins of the catalog. A tool that differs from its review gets an
 * order, which goes to every sidecar as a stop does: calls of its action are denied. If a server answers, but not with a readable
 * list, all of its pinned tools get an order. Once the tool matches its pin again, by the server or by a new pin, the order is
 * lifted. A server that cannot be reached changes nothing: what was denied stays denied. The pause is `everyMs`, plus at random
 * up to a tenth. The returned function ends it.
 */
export function watchPins(watch: PinWatch): () => Promise<void> {
  const looks = new Map(
    watch.servers.map((server): [string, Looks] => [server, { seen: new Map(), listedAtMs: null, saidOf: null }]),
  );
  const look = async (): Promise<void> => {
    await mapSeveral([...looks], MAX_AT_ONCE, async ([server, before]) => {
      await isDone(server, () => lookAt(server, before, watch), watch);
    });
    await liftForgotten(watch);
  };
  return repeatedly(look, {
    everyMs: watch.everyMs,
    after: (delayMs, run) => watch.after(delayMs + spread(delayMs, watch), run),
    onFault: (fault) => watch.log(`the pins of tools: ${fault}`, 'tools-not-listed', {}),
  });
}

/** Does something for a server, and returns whether it was done. What it throws is logged, so that the rest is done all the same. */
async function isDone(server: string, act: () => Promise<void>, { log }: PinWatch): Promise<boolean> {
  try {
    await act();
    return true;
  } catch (error) {
    log(`the pins of \`${server}\`: ${messageOfFault(error)}`, 'tools-not-listed', { server });
    return false;
  }
}

/** Up to a tenth of a pause, so that replicas and servers of one start do not ask in step. */
function spread(pauseMs: number, { randomBytes }: PinWatch): number {
  const [high = 0, low = 0] = randomBytes(2);
  return Math.floor((pauseMs / 10) * ((high * 256 + low) / 65_536));
}

async function lookAt(server: string, looks: Looks, watch: PinWatch): Promise<void> {
  const catalog = watch.catalog();
  if (catalog === null) return;
  const mcp = pinnedMcp(server, catalog);
  if (isProblem(mcp)) {
    if (looks.saidOf !== catalog)
      watch.log(`\`${server}\` of \`issuer.toolPins.servers\` is not watched: ${mcp.problem}`, 'tools-not-listed', {
        server,
      });
    looks.saidOf = catalog;
    return;
  }
  const listed = await watch.list(server);
  if (isProblem(listed)) sayNotListed(server, { noList: listed, looks }, watch);
  if (isProblem(listed) && !listed.isAnswered) return;
  const { found, tools } = await compared(listed, mcp);
  const changes = new Map(found.map((change) => [change.action, change]));
  const orders = await ordersOfPins(watch);
  const written: boolean[] = [];
  const denied = new Set(orders.map(({ what }) => what));
  for (const change of changes.values()) {
    if (denied.has(change.action)) continue;
    const differs = differenceOf(change, { listed: tools ?? [], seen: looks.seen });
    written.push(await isDone(server, () => put(change, { server, differs }, watch), watch));
  }
  const actions = new Set(Array.from(mcp.pins.keys(), (name) => mcp.tools.get(name)?.id));
  for (const order of orders) {
    if (actions.has(order.what) && !changes.has(order.what))
      written.push(await isDone(server, () => lift(order, watch), watch));
  }
  if (tools === null || written.includes(false)) return;
  looks.listedAtMs = watch.authority.nowMs();
  watch.onListed(server);
  remember(tools, { mcp, changes, seen: looks.seen });
}

function sayNotListed(
  server: string,
  { noList, looks }: { readonly noList: NoList; readonly looks: Looks },
  { authority, log }: PinWatch,
): void {
  const ago = looks.listedAtMs === null ? null : Math.round((authority.nowMs() - looks.listedAtMs) / 1_000);
  const age = ago === null ? 'never listed since this process started' : `last listed ${ago} s ago`;
  const effect = noList.isAnswered ? '; its pinned tools are denied' : '';
  log(`the tools of \`${server}\` could not be listed: ${noList.problem}; ${age}${effect}`, 'tools-not-listed', {
    server,
    ...(ago === null ? {} : { ageSeconds: String(ago) }),
  });
}

/**
 * The pinned tools that differ from their review, and the list that was compared; `null` if it is unreadable. A list that cannot
 * be compared counts as unreadable: otherwise a server could end the comparison by it.
 */
async function compared(
  listed: readonly unknown[] | NoList,
  mcp: McpServer,
): Promise<{ readonly found: readonly ToolChange[]; readonly tools: readonly unknown[] | null }> {
  if (isProblem(listed)) return { found: unreadableTools(mcp, listed.problem), tools: null };
  try {
    return { found: await toolChanges(listed, mcp, nextTurn), tools: listed };
  } catch {
    return { found: unreadableTools(mcp, 'it cannot be compared with the pins'), tools: null };
  }
}

/** Keeps the tools that are as reviewed, and forgets those that have no pin any more. */
function remember(
  listed: readonly unknown[],
  {
    mcp,
    changes,
    seen,
  }: {
    readonly mcp: McpServer;
    readonly changes: ReadonlyMap<string, ToolChange>;
    readonly seen: Map<string, Tool>;
  },
): void {
  for (const name of seen.keys()) if (!mcp.pins.has(name)) seen.delete(name);
  for (const tool of listed) {
    if (!isObject(tool) || typeof tool['name'] !== 'string') continue;
    const id = mcp.tools.get(tool['name'])?.id;
    if (id !== undefined && mcp.pins.has(tool['name']) && !changes.has(id)) seen.set(tool['name'], pinnedMembers(tool));
  }
}

/** The MCP endpoint of a server with pins; a problem if it has none. */
function pinnedMcp(server: string, catalog: Catalog): McpServer | Problem {
  const known = catalog.servers.get(server);
  if (known === undefined) {
    const near = nearestOf(server, catalog.servers.keys());
    return { problem: `the catalog has no server of this id${near === null ? '' : `; did you mean \`${near}\`?`}` };
  }
  const mcp = mcpOfServer(catalog, known);
  if (mcp === null) return { problem: 'the server has no `mcp` in the catalog' };
  return mcp.pins.size > 0 ? mcp : { problem: 'no tool of the server has a `pin` in the catalog' };
}

/** The orders that say that a tool has changed. Throws if the state cannot be read. */
async function ordersOfPins({ authority }: PinWatch): Promise<readonly StopOrder[]> {
  const orders = await authority.ordersInForce();
  if (isStoreFailure(orders)) throw new Error(`the orders could not be read: ${orders.detail}`);
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
  if (catalog === null) return;
  const orders = await ordersOfPins(watch);
  const pinned = new Set(
    Array.from(catalog.servers.keys()).flatMap((server) => {
      const mcp = pinnedMcp(server, catalog);
      return isProblem(mcp) ? [] : Array.from(mcp.pins.keys(), (name) => mcp.tools.get(name)?.id);
    }),
  );
  for (const order of orders) if (!pinned.has(order.what)) await lift(order, watch);
}

/** What differs, if an earlier look saw the tool as its pin says; `''` otherwise. */
function differenceOf(
  { tool }: ToolChange,
  { listed, seen }: { readonly listed: readonly unknown[]; readonly seen: ReadonlyMap<string, Tool> },
): string {
  const before = seen.get(tool);
  const now = listed.find((one) => isObject(one) && one['name'] === tool);
  return before === undefined || !isObject(now) ? '' : toolDifferenceText(toolDifference(before, now));
}

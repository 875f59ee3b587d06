import type { Authority, Upkeep } from '../../src/core/state/authority.ts';
import type { StateAccess } from '../../src/authority/state/sqlite/state-access.ts';
import type { Feed } from '../../src/core/state/feed.ts';
import type { Settling } from '../../src/core/state/settling.ts';
import type { Store } from '../../src/core/state/store.ts';
import { knownOrders } from '../../src/core/order/known-orders.ts';
import type { TaskStates } from '../../src/core/state/task-states.ts';

/** Runs the methods of a store in this thread: each write blocks until it is on disk. */
export function directAuthority(store: Store): StateAccess {
  const states: TaskStates = {
    clocks: () => store.clocks(),
    of: (key, jtiDigest) => store.useStateOf(key.issuer, key.id, jtiDigest),
    standing: (key, jtiDigest) => store.standingOf(key.issuer, key.id, jtiDigest),
    orders: knownOrders(() => store.ordersInForce()),
    refuse: (jtiDigest) => store.refuseToken(jtiDigest),
    open: () => null,
    turn: () => store.turn(),
    turnOver: () => store.turnOver(),
  };
  const settling: Settling = {
    settle: async ({ decisionId, key, ...use }) => store.settle(decisionId, key, use),
    giveBack: async (use) => store.giveBack(use),
  };
  const authority: Authority & Upkeep = {
    clocks: () => store.clocks(),
    nowMs: () => store.nowMs(),
    floorMs: () => store.floorMs(),
    taskOf: async (...input) => store.taskOf(...input),
    useStateOf: async (...input) => store.useStateOf(...input),
    tokenOf: async (...input) => store.tokenOf(...input),
    openTasks: async (...input) => store.openTasks(...input),
    restoredAtMs: async () => store.restoredAtMs(),
    stopOf: async (query) => store.stopOf(query),
    limitUses: async (filter) => store.limitUses(filter),
    limitPeaks: async () => store.limitPeaks(),
    openTaskCounts: async () => store.openTaskCounts(),
    ordersInForce: async () => store.ordersInForce(),
    putOrder: async (...input) => store.putOrder(...input),
    liftOrder: async (...input) => store.liftOrder(...input),
    insertTask: async (...input) => store.insertTask(...input),
    insertPart: async (...input) => store.insertPart(...input),
    insertToken: async (...input) => store.insertToken(...input),
    applyTaskEvent: async (...input) => store.applyTaskEvent(...input),
    setContext: async (...input) => store.setContext(...input),
    liftStops: async (...input) => store.liftStops(...input),
    setRisk: async (...input) => store.setRisk(...input),
    revokeToken: async (...input) => store.revokeToken(...input),
    rememberOnce: async (...input) => store.rememberOnce(...input),
    appendRecords: async (...input) => store.appendRecords(...input),
    keepRecord: async (...input) => store.keepRecord(...input),
    writeSecrets: async (...input) => store.writeSecrets(...input),
    touchTasks: async (...input) => store.touchTasks(...input),
    writeUses: async (...input) => store.writeUses(...input),
    endExpired: async () => store.endExpired(),
    prune: async (...input) => store.prune(...input),
    shrink: async () => store.shrink(),
    markServing: async () => store.markServing(),
    forget: async (...input) => store.forget(...input),
    signalQueue: async (...input) => store.signalQueue(...input),
    claimSignals: async (receiver) => store.claimSignals(receiver),
    dropSignals: async (...input) => store.dropSignals(...input),
  };
  const feed: Feed = {
    feedEnd: async () => store.feedEnd(),
    feedAfter: async (position) => store.feedAfter(position),
  };
  return { states, settling, authority, feed };
}

import type { EncodedRecord } from '../../../core/ledger/encoded-record.ts';
import type { Clocks } from '../../../core/runtime/ports.ts';
import { storeFailure } from '../../../core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../core/runtime/store-failure.ts';
import type { Authority } from '../../../core/state/authority.ts';
import { liftOrder, nameOfPut, putOrder } from '../../../core/state/writes/order-writes.ts';
import { liftStops } from '../../../core/state/writes/note-stops.ts';
import type { Premises } from '../../../core/state/writes/premises.ts';
import { possibleLoans } from '../../../core/state/writes/possible-loans.ts';
import { withDigests } from '../../../core/state/writes/limit-settlement.ts';
import { stopIdOf } from '../../../core/state/writes/limit-effects.ts';
import { limitSpendsOf, namesOf, spendsProblem } from '../../../core/state/writes/settlement.ts';
import type { SettledUse, Settlement, Settling } from '../../../core/state/settling.ts';
import { isStorable, notStorable, saidIn, textsOf } from '../../../core/state/writes/stored-text.ts';
import type { IssuedToken, TaskKey, UnsentUse } from '../../../core/state/store.ts';
import type { Task } from '../../../core/task/task.ts';
import { taskValues } from '../../../core/state/writes/task-row.ts';
import {
  addPart,
  addTask,
  addToken,
  applyEvent,
  changeContext,
  changeRisk,
  revokeToken,
} from '../../../core/state/writes/writes.ts';
import { giveBackUse, keepRecord, namesOfUnsent, settleUse } from '../../../core/state/writes/use-writes.ts';
import { isOverLimit } from '../../../core/limit/limit-spend.ts';
import { neededCounters } from './rows/limit-statements.ts';
import type { NeededRows } from './rows/needed-rows.ts';
import type { PostgresOrders } from './postgres-orders.ts';
import type { PostgresSignals } from './postgres-signals.ts';
import type { PostgresReads } from './rows/postgres-reads.ts';
import type { LaneCall, WriteLane } from './write-lane.ts';

/** What an authority of a PostgreSQL consists of. */
export interface PostgresParts {
  readonly lane: WriteLane;
  readonly reads: PostgresReads;
  readonly orders: Pick<PostgresOrders, 'inForce'>;
  readonly signals: PostgresSignals;
  /** Reads the clocks of this process. */
  readonly clocks: () => Clocks;
  readonly nowMs: () => number;
}

/** The authority: reads of the primary, and writes of the lane, each with the rows that it needs. */
export function postgresAuthority({ clocks, lane, nowMs, orders, reads, signals }: PostgresParts): Authority {
  const run: StorableWrite = (texts, call) =>
    texts.every(isStorableValue) ? lane.run(call) : Promise.resolve(notStorable());
  return {
    clocks,
    nowMs,
    floorMs: () => clocks().floorMs,
    taskOf: (...input) => reads.taskOf(...input),
    useStateOf: (...input) => reads.useStateOf(...input),
    tokenOf: (...input) => reads.tokenOf(...input),
    openTasks: (...input) => reads.openTasks(...input),
    restoredAtMs: () => reads.restoredAtMs(),
    stopOf: (query) => reads.stopOf(query),
    limitUses: (filter) => reads.limitUses(filter),
    limitPeaks: () => reads.limitPeaks(),
    openTaskCounts: () => reads.openTaskCounts(),
    ordersInForce: () => orders.inForce(),
    ...issuanceWrites(run),
    ...taskChanges(run),
    ...orderWrites(run),
    rememberOnce: (kind, key, untilMs) =>
      run([key], { needs: { remembered: [{ kind, key }] }, write: (rows) => rows.remember({ kind, key, untilMs }) }),
    ...recordWrites(run),
    ...signals,
  };
}

/** Runs a write in the lane, unless one of its texts cannot be stored. */
type StorableWrite = <T>(texts: readonly unknown[], call: LaneCall<T>) => Promise<T | StoreFailure>;

/** Issued tokens, with the tasks and parts of tasks that they are for. */
const issuanceWrites = (run: StorableWrite): Pick<Authority, 'insertTask' | 'insertPart' | 'insertToken'> => ({
  insertTask: (task, token, records, decidedBy) => {
    const parents = task.parentId === null ? [] : [{ issuer: task.issuer, id: task.parentId }];
    return run([...taskValues(task), ...textsOf(token)], {
      needs: withLimits(task, decidedBy, { ...ofNew(token, records), tasks: [task, ...parents], families: parents }),
      write: (rows) => addTask(rows, { task, token, records }, decidedBy),
    });
  },
  insertPart: async (task, token, records, handed, decidedBy) => {
    const { issuer, parentId } = task;
    if (parentId === null) return storeFailure('refused', 'a part names the task it is a part of');
    const problem = spendsProblem(handed.spends);
    if (problem !== null) return storeFailure('refused', problem);
    const parents = [{ issuer, id: parentId }];
    const needs = withLimits(task, decidedBy, {
      ...ofNew(token, records, handed.jtiDigest),
      tasks: [task, ...parents],
      families: parents,
      uses: parents,
    });
    return run([...taskValues(task), ...textsOf(token), handed.jtiDigest, ...namesOf(handed.spends)], {
      needs,
      write: (rows) => addPart(rows, { task, token, records, parentId }, handed, decidedBy),
    });
  },
  insertToken: (key, token, records, decidedBy) =>
    run([key.issuer, key.id, ...textsOf(token)], {
      needs: withPremises(decidedBy, { ...ofNew(token, records), tasks: [key] }),
      write: (rows) => addToken(rows, key, { token, records }, decidedBy),
    }),
});

/** Changes of open tasks and of tokens. */
const taskChanges = (
  run: StorableWrite,
): Pick<Authority, 'applyTaskEvent' | 'setContext' | 'setRisk' | 'liftStops' | 'revokeToken'> => ({
  applyTaskEvent: (key, event, by, decidedBy) =>
    run([key.issuer, key.id, event.cause.note, by], {
      needs: withPremises(decidedBy, ofFamily(key)),
      write: (rows) => applyEvent(rows, key, { event, by }, decidedBy),
    }),
  setContext: (key, saying, event, decidedBy) =>
    run([key.issuer, key.id, saying.by, event?.cause.note ?? '', ...saidIn(saying)], {
      needs: withPremises(decidedBy, ofFamily(key)),
      write: (rows) => changeContext(rows, key, { saying, event }, decidedBy),
    }),
  setRisk: (key, risk, cause, by, decidedBy) =>
    run([key.issuer, key.id, cause.note, by], {
      needs: withPremises(decidedBy, ofFamily(key)),
      write: (rows) => changeRisk(rows, key, { risk, cause, by }, decidedBy),
    }),
  liftStops: (key, cause, by) =>
    run([key.issuer, key.id, cause.note, by], {
      needs: { tasks: [key], stopping: [key] },
      write: (rows) => liftStops(rows, key, { cause, by }),
    }),
  revokeToken: (jtiDigest, cause, by) =>
    run([jtiDigest, cause.note, by], {
      needs: { tokens: [jtiDigest] },
      write: (rows) => revokeToken(rows, jtiDigest, { cause, by }),
    }),
});

/** Orders of operators. */
const orderWrites = (run: StorableWrite): Pick<Authority, 'putOrder' | 'liftOrder'> => ({
  putOrder: (order, records) =>
    run([JSON.stringify(order)], {
      needs: { orders: true, decisions: [nameOfPut(order.id)], used: usedIn(records) },
      write: (rows) => putOrder(rows, order, records),
    }),
  liftOrder: (id, records) =>
    run([id], {
      needs: { orders: true, used: usedIn(records) },
      write: (rows) => liftOrder(rows, id, records),
    }),
});

const recordWrites = (run: StorableWrite): Pick<Authority, 'keepRecord' | 'appendRecords'> => ({
  keepRecord: (decisionId, record) =>
    run([decisionId], {
      needs: { decisions: [decisionId], used: usedIn([record]) },
      write: (rows) => keepRecord(rows, decisionId, record),
    }),
  appendRecords: (batch) =>
    run([], {
      needs: { used: usedIn(batch) },
      write: (rows) => {
        rows.addRecords(batch);
        return null;
      },
    }),
});

/**
 * Settles uses: those within 2 ms in a single transaction, in call order.
 * @param digestOf `Store.digestOf`
 */
export const postgresSettling = (lane: WriteLane, digestOf: (secret: string) => string): Settling => ({
  settle: (use) => settle(lane, { ...use, spends: withDigests(use.spends, digestOf) }, use.spends),
  giveBack: (use) => giveBack(lane, use),
});

/** @param given the spends as they were given */
async function settle(lane: WriteLane, use: SettledUse, given: SettledUse['spends']): Promise<Settlement> {
  const { agent = '', decisionId, key, jtiDigest, spends, entry, record, ahead, by = '' } = use;
  const problem = spendsProblem(given, ahead);
  if (problem !== null) return storeFailure('refused', problem);
  const texts = entry === undefined ? [] : [entry.action, ...entry.labels];
  const ids = [key?.issuer ?? '', key?.id ?? '', jtiDigest, decisionId, by, agent];
  if (![...ids, ...namesOf(spends), ...texts].every(isStorable)) return notStorable();
  const ofTask = key === null ? {} : { tasks: [key], uses: [key], tokens: [jtiDigest] };
  const needs = (nowMs: number): NeededRows => ({
    ...ofTask,
    decisions: [decisionId, ...possibleLoans(use, nowMs).map(({ name }) => name)],
    used: record === undefined ? [] : usedIn([record]),
    counters: neededCounters(limitSpendsOf(spends), nowMs),
  });
  const settled = await lane.run({ needs, write: (rows) => settleUse(rows, decisionId, use, { acts: false }) });
  if (!isOverLimit(settled)) return settled;
  const limits = limitSpendsOf(spends);
  if ((limits.find(({ limit }) => limit === settled.over.limit)?.effect ?? 'deny') === 'deny') return settled;
  // Run again with the rows that suspending or stopping needs, which most uses do not need. Another limit may refuse then.
  const stops = limits.filter(({ effect }) => effect === 'stop').map(({ limit }) => nameOfPut(stopIdOf(limit, use)));
  const suspended = key !== null && limits.some(({ effect }) => effect === 'suspend') ? ofFamily(key) : {};
  return lane.run({
    needs: (nowMs) => {
      const needed = { ...needs(nowMs), ...suspended };
      return stops.length === 0
        ? needed
        : { ...needed, orders: true, decisions: [...(needed.decisions ?? []), ...stops] };
    },
    write: (rows) => settleUse(rows, decisionId, use),
  });
}

async function giveBack(lane: WriteLane, use: UnsentUse): Promise<boolean | StoreFailure> {
  const { decisionId, key, spends, left = [], before = 0, by = '' } = use;
  const problem = spendsProblem(spends, [...left, before]);
  if (problem !== null) return storeFailure('refused', problem);
  const ids = [key?.issuer ?? '', key?.id ?? '', decisionId, by];
  if (![...ids, ...namesOf(spends)].every(isStorable)) return notStorable();
  const ofTask = key === null ? {} : { tasks: [key], uses: [key] };
  return lane.run({
    needs: (nowMs) => ({
      ...ofTask,
      decisions: namesOfUnsent(use, nowMs),
      counters: neededCounters(limitSpendsOf(spends), nowMs),
    }),
    write: (rows) => giveBackUse(rows, use),
  });
}

const isStorableValue = (value: unknown): boolean => typeof value !== 'string' || isStorable(value);

/** The rows of a task, of the tasks that end with it, and of what stops new tasks. */
const ofFamily = (key: TaskKey): NeededRows => ({ tasks: [key], families: [key], stopping: [key] });

const ofNew = (token: IssuedToken, records: readonly EncodedRecord[], ...more: readonly string[]): NeededRows => ({
  tokens: [token.jtiDigest, ...more],
  used: usedIn(records),
});

const usedIn = (records: readonly EncodedRecord[]): readonly string[] =>
  records.flatMap(({ isAllowedUse, task }) => (isAllowedUse && task !== null ? [task] : []));

/** With the rows that tell whether the premises still hold. */
function withPremises(premises: Premises | undefined, needs: NeededRows): NeededRows {
  if (premises === undefined) return needs;
  const { tasks, jtiDigest, stop } = premises;
  return {
    ...needs,
    stops: stop === undefined ? [] : [stop.query],
    tasks: [...(needs.tasks ?? []), ...tasks],
    tokens: [...(needs.tokens ?? []), ...(jtiDigest === undefined ? [] : [jtiDigest])],
  };
}

/** As `withPremises`, with the rows of the limits that a new task must be within, and of what those do if they refuse it. */
function withLimits(task: Task, premises: Premises | undefined, needs: NeededRows): LaneCall<unknown>['needs'] {
  const needed = withPremises(premises, needs);
  const limits = premises?.limits;
  if (limits === undefined) return needed;
  const effects = new Set([...limits.spends, ...limits.open].map(({ effect }) => effect));
  const parents = task.parentId === null ? [] : [{ issuer: task.issuer, id: task.parentId }];
  const names = [...limits.spends, ...limits.open].map(({ limit }) =>
    nameOfPut(stopIdOf(limit, { agent: task.agent, decisionId: task.id })),
  );
  return (nowMs) => ({
    ...needed,
    counters: neededCounters(limits.spends, nowMs),
    openTasks: limits.open,
    ...(effects.has('suspend') ? { stopping: parents } : {}),
    ...(effects.has('stop') ? { orders: true as const, decisions: names } : {}),
  });
}

import type { PoolClient } from 'pg';
import { keyText } from './key-text.ts';
import { BEGIN, flight } from '../flight.ts';
import type { Statement } from '../flight.ts';
import type { TaskKey } from '../../../../core/state/store.ts';
import { pastDeadline } from '../../../../core/state/writes/task-row.ts';
import type { RowReader } from './row-seal.ts';
import { historyFromRow, UnreadableOrderRow } from './rows-read.ts';
import { RowSet } from './row-set.ts';
import type { OpenTasksLimit } from '../../../../core/limit/limit-spend.ts';
import { limitReads } from './limit-statements.ts';
import type { FoundRows, NeededCounter } from './limit-statements.ts';
import { LOCK_ORDERS, SELECT_ORDERS } from './order-statements.ts';
import { RECEIVERS } from './signal-statements.ts';
import { lockAgents, selectStops, stopFrom } from './stop-statements.ts';
import type { StopQuery } from '../../../../core/task/stop.ts';

/** The rows that a write reads. Rows that are not named here are missing for it. */
export interface NeededRows {
  readonly tasks?: readonly TaskKey[];
  /** Tasks whose family is read: all open tasks with the same root. */
  readonly families?: readonly TaskKey[];
  /** Tasks whose budgets and history are read. */
  readonly uses?: readonly TaskKey[];
  /** Digests of tokens. Their tasks are read too. */
  readonly tokens?: readonly string[];
  /** Ids of decisions that may be settled. */
  readonly decisions?: readonly string[];
  /** Keys that may be remembered. */
  readonly remembered?: readonly { readonly kind: string; readonly key: string }[];
  /** Stops that concern declarations. */
  readonly stops?: readonly StopQuery[];
  /** Tasks that may be stopped or resumed, with their families. */
  readonly stopping?: readonly TaskKey[];
  /** Whether the orders are read, and locked. */
  readonly orders?: true;
  /** Counters of limits over all tasks, and the limits of open tasks. */
  readonly counters?: readonly NeededCounter[];
  readonly openTasks?: readonly OpenTasksLimit[];
  /** Ids of tasks with allowed uses, whose idle time may be restarted. */
  readonly used?: readonly string[];
}

const KEYS = 'unnest($1::text[], $2::text[]) AS k (issuer, id)';
const USED =
  'SELECT issuer, root FROM remit.tasks WHERE id = ANY($4::text[]) AND ended_ms IS NULL AND idle_ms IS NOT NULL';

/**
 * Locks the families, by their root tasks in the order of their keys, so that two transactions never wait for each other. INVARIANT: every
 * write that concerns a family holds this lock, so that what follows reads the last commit about it, and no other write changes it meanwhile.
 */
const LOCK = `SELECT 1 FROM remit.tasks WHERE (issuer, id) IN (
    SELECT t.issuer, t.root FROM ${KEYS} JOIN remit.tasks t ON t.issuer = k.issuer AND t.id = k.id
    UNION SELECT t.issuer, t.root FROM remit.tokens o JOIN remit.tasks t ON t.issuer = o.issuer AND t.id = o.task
      WHERE o.jti_digest = ANY($3::text[])
    UNION ${USED})
  ORDER BY issuer, id FOR NO KEY UPDATE`;

/** Includes the parents, since a resume depends on their state. */
const TASKS = `SELECT t.* FROM remit.tasks t WHERE (t.issuer, t.id) IN (
    SELECT k.issuer, k.id FROM ${KEYS}
    UNION SELECT p.issuer, p.parent FROM ${KEYS} JOIN remit.tasks p ON p.issuer = k.issuer AND p.id = k.id WHERE p.parent IS NOT NULL
    UNION SELECT o.issuer, o.task FROM remit.tokens o WHERE o.jti_digest = ANY($3::text[]))`;

const FAMILIES = `SELECT t.* FROM remit.tasks t WHERE t.ended_ms IS NULL AND (t.issuer, t.root) IN (
    SELECT f.issuer, f.root FROM ${KEYS} JOIN remit.tasks f ON f.issuer = k.issuer AND f.id = k.id
    UNION ${USED.replace('$4', '$3')})`;

const TOKENS = 'SELECT * FROM remit.tokens WHERE jti_digest = ANY($1::text[])';
const BUDGETS = `SELECT b.* FROM remit.budgets b WHERE (b.issuer, b.task) IN (SELECT k.issuer, k.id FROM ${KEYS})`;
const HISTORIES = `SELECT h.* FROM remit.histories h WHERE (h.issuer, h.task) IN (
  SELECT t.issuer, t.root FROM ${KEYS} JOIN remit.tasks t ON t.issuer = k.issuer AND t.id = k.id)`;
const SETTLED = 'SELECT id FROM remit.settled WHERE id = ANY($1::text[])';

const REMEMBERED = `SELECT kind, key, until_ms FROM remit.remembered
  WHERE (kind, key) IN (SELECT k.issuer, k.id FROM ${KEYS}) ORDER BY kind, key FOR UPDATE`;
const REMEMBERED_COUNT =
  'SELECT kind, count(*) AS count FROM remit.remembered WHERE kind = ANY($1::text[]) GROUP BY kind';

const HEAD = `SELECT lost, (extract(epoch FROM now()) * 1000)::bigint AS now_ms, ARRAY(${RECEIVERS}) AS receivers
  FROM remit.feed_head WHERE part = 0`;

/** The rows, and why the database is known to lack commits; `null` if it is not. */
interface LockedRows {
  readonly rows: RowSet;
  readonly lost: string | null;
  /** The clock of the database, milliseconds since the Unix epoch. */
  readonly databaseMs: number;
  /** The receivers of signals. */
  readonly receivers: readonly string[];
}

/**
 * Begins a transaction, locks the families of what is needed, and reads it, in a single flight.
 * @param receivers names of the receivers of signals in the configuration
 */
export async function lockedRows(
  client: PoolClient,
  needs: readonly NeededRows[],
  { reader, receivers }: { readonly reader: RowReader; readonly receivers: readonly string[] },
): Promise<LockedRows> {
  const keysOf = (name: 'tasks' | 'families' | 'uses' | 'stopping') => needs.flatMap((need) => need[name] ?? []);
  const textsOf = (name: 'tokens' | 'decisions' | 'used') => [...new Set(needs.flatMap((need) => need[name] ?? []))];
  const [families, uses] = [columnsOf(keysOf('families')), columnsOf(keysOf('uses'))];
  const [tokens, decisions, used] = [textsOf('tokens'), textsOf('decisions'), textsOf('used')];
  const remembered = needs.flatMap((need) => need.remembered ?? []);
  const kinds = remembered.map(({ kind }) => kind);
  const keys = columnsOf([...keysOf('tasks'), ...keysOf('families'), ...keysOf('uses')]);
  const [stops, stopping] = [needs.flatMap((need) => need.stops ?? []), keysOf('stopping')];
  const needsOrders = needs.some(({ orders }) => orders === true);
  const ofLimits = limitReads(
    needs.flatMap(({ counters }) => counters ?? []),
    needs.flatMap(({ openTasks }) => openTasks ?? []),
  );
  const readStops = isEmpty(stops) ? null : selectStops(stops);
  const reads: readonly (Statement | null)[] = [
    isEmpty(stops) && isEmpty(stopping) ? null : lockAgents(stopping, stops),
    ...(needsOrders ? [LOCK_ORDERS, SELECT_ORDERS] : []),
    ...ofLimits.statements,
    { text: LOCK, values: [...keys, tokens, used] },
    { text: TASKS, values: [...keys, tokens] },
    isEmpty(families[0]) && isEmpty(used) ? null : { text: FAMILIES, values: [...families, used] },
    isEmpty(tokens) ? null : { text: TOKENS, values: [tokens] },
    isEmpty(uses[0]) ? null : { text: BUDGETS, values: uses },
    isEmpty(uses[0]) ? null : { text: HISTORIES, values: uses },
    isEmpty(decisions) ? null : { text: SETTLED, values: [decisions] },
    isEmpty(kinds) ? null : { text: REMEMBERED, values: [kinds, remembered.map(({ key }) => key)] },
    isEmpty(kinds) ? null : { text: REMEMBERED_COUNT, values: [kinds] },
    readStops,
    { text: HEAD, values: [receivers] },
  ];
  const sent = reads.filter((read) => read !== null);
  const results = await flight(client, [BEGIN, ...sent]);
  // What was not sent is found at the place of BEGIN, which has no rows.
  const found: FoundRows = (text) => results[1 + sent.findIndex((read) => read.text === text)]?.rows ?? [];
  const rows = loadedRows(found, reader);
  ofLimits.load(rows.limits, found, reader.limitIn);
  if (readStops !== null) for (const row of found(readStops.text)) rows.loadStop(stopFrom(row));
  const { lost, now_ms: nowMs, receivers: names } = found(HEAD)[0] ?? {};
  return {
    rows,
    lost: typeof lost === 'string' ? lost : null,
    databaseMs: Number(nowMs),
    receivers: Array.isArray(names) ? names.map(String) : [],
  };
}

/** The rows that statements found, but for stops and limits. */
function loadedRows(found: FoundRows, { taskIn, tokenIn, spentIn, orderIn, isGivenOrder }: RowReader): RowSet {
  const rows = new RowSet();
  const unreadable = loadHistories(rows, found(HISTORIES));
  for (const row of [...found(TASKS), ...found(FAMILIES)]) {
    const rooted = taskIn(row);
    if (rooted === null) continue;
    const isUnreadable = unreadable.has(keyText({ issuer: rooted.task.issuer, id: rooted.root }));
    rows.loadTask(isUnreadable ? { ...rooted, task: pastDeadline(rooted.task) } : rooted);
  }
  for (const row of found(TOKENS)) {
    const token = tokenIn(row);
    if (token !== null) rows.loadToken(token);
  }
  for (const row of found(BUDGETS)) rows.loadSpent(spentIn(row));
  for (const row of found(REMEMBERED))
    rows.loadRemembered({ kind: String(row['kind']), key: String(row['key']) }, Number(row['until_ms']));
  for (const row of found(REMEMBERED_COUNT)) rows.loadRememberedCount(String(row['kind']), Number(row['count']));
  for (const row of found(SELECT_ORDERS.text)) loadOrder(rows, row, { orderIn, isGivenOrder });
  for (const row of found(SETTLED)) rows.loadSettled(String(row['id']));
  return rows;
}

function loadOrder(
  rows: RowSet,
  row: Readonly<Record<string, unknown>>,
  { orderIn, isGivenOrder }: Pick<RowReader, 'orderIn' | 'isGivenOrder'>,
): void {
  try {
    const order = orderIn(row);
    if (order !== null) rows.loadOrder(order, () => isGivenOrder(row));
  } catch (error) {
    if (!(error instanceof UnreadableOrderRow)) throw error;
    // The writes of others in this transaction need no orders.
    rows.loadUnreadableOrder(error);
  }
}

/** Gives the root tasks whose histories cannot be read. */
function loadHistories(rows: RowSet, found: readonly Readonly<Record<string, unknown>>[]): ReadonlySet<string> {
  const unreadable = new Set<string>();
  for (const row of found) {
    const key = { issuer: String(row['issuer']), id: String(row['task']) };
    const history = historyFromRow(row);
    if (history === null) unreadable.add(keyText(key));
    else rows.loadHistory(key, history);
  }
  return unreadable;
}

const isEmpty = (list: readonly unknown[]): boolean => list.length === 0;

/** Keys as two columns, each key once. */
function columnsOf(keys: readonly TaskKey[]): readonly [issuers: readonly string[], ids: readonly string[]] {
  const once = [...new Map(keys.map((key) => [keyText(key), key])).values()];
  return [once.map(({ issuer }) => issuer), once.map(({ id }) => id)];
}

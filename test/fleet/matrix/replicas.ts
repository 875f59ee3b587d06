import { isSettlement } from '../../../src/core/state/settling.ts';
import type { SettledUse } from '../../../src/core/state/settling.ts';
import { randomBytes } from 'node:crypto';
import { postgresTargetFrom } from '../../../src/core/config/postgres-url.ts';
import { isStoreFailure } from '../../../src/core/runtime/store-failure.ts';
import type { ClockSources } from '../../../src/core/state/clock-floor.ts';
import type { Durability } from '../../../src/authority/state/postgres/durability.ts';
import { migratePostgres } from '../../../src/authority/state/postgres/migrate.ts';
import { openPostgresState, type PostgresState } from '../../../src/authority/state/postgres/postgres-state.ts';
import type { TaskKey } from '../../../src/core/state/store.ts';
import { must } from '../../builders/must.ts';
import { agreeing } from '../../builders/state-file.ts';
import { issuer, byOperator, taskNumber, tokenNumber } from '../../builders/task.ts';
import { until } from '../../until.ts';
import type { PostgresCluster } from '../../postgres/cluster.ts';

/** Makes the tables of a database, for the role `app` or another. */
export async function migrate({
  ownerUrl,
  role = 'app',
}: {
  readonly ownerUrl: string;
  readonly role?: string;
}): Promise<void> {
  const target = must(postgresTargetFrom(ownerUrl));
  must(await migratePostgres(target, { grant: role, randomBytes, askMs: 60_000 }));
}

/** The state of an authority on a database. The caller closes it. */
export async function openReplica(
  { url }: { readonly url: string },
  {
    durability = 'quorum',
    clocks = agreeing(),
  }: { readonly durability?: Durability; readonly clocks?: ClockSources } = {},
): Promise<PostgresState> {
  const target = must(postgresTargetFrom(url));
  // A loaded machine may miss the second in which a host has to say whether it is the primary.
  return until(
    async () => {
      const state = await openPostgresState({ target, durability, clocks, randomBytes, address: 'test' });
      return isStoreFailure(state) && state.code === 'busy' ? false : must(state);
    },
    { what: 'a host says that it is the primary' },
  );
}

/** The key of task number `n`. */
export const keyOf = (n: number): TaskKey => ({
  issuer,
  id: taskNumber(n).id,
});

/** Callers that declare one task after another and end it at once. */
export interface Enders {
  /** Numbers of the tasks whose end was acknowledged. */
  readonly acknowledged: ReadonlySet<number>;
  /** The longest time without an acknowledgement, in milliseconds. */
  readonly longestGapMs: () => number;
  /** Returns once the last call is answered. */
  readonly stop: () => Promise<void>;
}

let next = 1;

/** Starts `count` callers on each replica. Task numbers are never used twice. */
export function startEnders(replicas: readonly PostgresState[], count: number): Enders {
  const acknowledged = new Set<number>();
  const stopping = new AbortController();
  let lastMs = performance.now();
  let longestMs = 0;
  const end = async ({ authority }: PostgresState): Promise<void> => {
    const n = next++;
    if (isStoreFailure(await authority.insertTask(taskNumber(n), tokenNumber(n), []))) return;
    const ended = await authority.applyTaskEvent(keyOf(n), byOperator('complete'), 'operator');
    if (isStoreFailure(ended)) return;
    acknowledged.add(n);
    const nowMs = performance.now();
    longestMs = Math.max(longestMs, nowMs - lastMs);
    lastMs = nowMs;
  };
  const calling = replicas.flatMap((replica) =>
    Array.from({ length: count }, async () => {
      while (!stopping.signal.aborted) {
        await end(replica);
        // A failure may come at once.
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }),
  );
  return {
    acknowledged,
    longestGapMs: () => longestMs,
    stop: async () => {
      stopping.abort();
      await Promise.all(calling);
    },
  };
}

/** Acknowledged ends that the primary does not have. */
export async function lostEnds(
  cluster: PostgresCluster,
  acknowledged: ReadonlySet<number>,
): Promise<readonly number[]> {
  const rows = await cluster.sql(`SELECT id FROM remit.tasks WHERE state = 'completed'`);
  const kept = new Set(rows.map((row) => String(row['id'])));
  return [...acknowledged].filter((n) => !kept.has(keyOf(n).id));
}

/** Callers that all use one budget, by one call each time. */
export interface Race {
  /** Uses that were allowed. */
  readonly allowed: () => number;
  /** Returns once the last use is answered. */
  readonly stop: () => Promise<void>;
}

/** A budget of calls. */
export interface Budget {
  readonly key: TaskKey;
  readonly jtiDigest: string;
  readonly limit: number;
}

/** Starts a race for a budget. */
export const startRace = (replicas: readonly PostgresState[], { key, jtiDigest, limit }: Budget): Race =>
  racing(replicas, { key, jtiDigest, spends: [{ kind: 'calls', limit, count: 1 }] });

/** Starts a race for a limit over all tasks, of callers without a task. */
export const startLimitRace = (replicas: readonly PostgresState[], limit: string, max: number): Race =>
  racing(replicas, {
    key: null,
    jtiDigest: '',
    spends: [
      { kind: 'limit', limit, measure: 'calls', who: '[]', windowMs: 86_400_000, amount: 1, max, effect: 'deny' },
    ],
  });

/** Starts five callers on each replica. As sidecars do, each sends a use without an answer once more, to another replica. */
function racing(replicas: readonly PostgresState[], taking: Omit<SettledUse, 'decisionId'>): Race {
  let allowed = 0;
  const stopping = new AbortController();
  const callers = replicas.flatMap((replica, at) =>
    Array.from({ length: 5 }, async () => {
      while (!stopping.signal.aborted) {
        const use = { ...taking, decisionId: crypto.randomUUID() };
        const first = await replica.settling.settle(use);
        const other = replicas[(at + 1) % replicas.length];
        const settled = isStoreFailure(first) ? await other?.settling.settle(use) : first;
        if (settled !== undefined && isSettlement(settled)) allowed += 1;
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    }),
  );
  return {
    allowed: () => allowed,
    stop: async () => {
      stopping.abort();
      await Promise.all(callers);
    },
  };
}

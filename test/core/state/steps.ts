import type { Store } from '../../../src/core/state/store.ts';
import { isStoreFailure } from '../../../src/core/runtime/store-failure.ts';
import type { StoreFailure } from '../../../src/core/runtime/store-failure.ts';
import type { Task, TaskEvent } from '../../../src/core/task/task.ts';
import { allowedUse, endRecord } from '../../builders/ledger-record.ts';
import { issuer, taskNumber, tokenNumber, byOperator } from '../../builders/task.ts';
import { causeOf } from '../../../src/core/task/cause.ts';
import { must } from '../../builders/must.ts';

/** The visible state of a pair of tasks: a task and its part. */
export interface Seen {
  readonly whole: string;
  readonly part: string;
  readonly generation: number;
  readonly spent: number;
  readonly tokens: number;
  readonly revoked: boolean;
  /** Records of both tasks. */
  readonly records: number;
}

/** One write, and what it changes in the visible state. */
export interface Step {
  readonly name: string;
  readonly run: (store: Store, pair: number) => unknown;
  readonly after: (before: Seen) => Seen;
}

const whole = (pair: number): Task => taskNumber(2 * pair);
const part = (pair: number): Task => taskNumber(2 * pair + 1, { parentId: whole(pair).id });
const limit = 1_000;

/** Throws where the store did something else than asked, which no fault excuses. */
const done = <T>(result: T, isDone: (result: Exclude<T, StoreFailure>) => boolean): T => {
  if (!isStoreFailure(result) && !isDone(result as Exclude<T, StoreFailure>)) {
    throw new Error(`not done: ${JSON.stringify(result)}`);
  }
  return result;
};

const event =
  (kind: TaskEvent['kind']): Step['run'] =>
  (store, pair) =>
    done(
      store.applyTaskEvent(whole(pair), byOperator(kind, 'x'), 'operator'),
      (result) => result !== undefined && 'changed' in result && result.changed,
    );

const spending =
  (digest: (pair: number) => string): Step['run'] =>
  (store, pair) =>
    done(store.spend(whole(pair), digest(pair), [{ kind: 'calls', limit }]), (result) => result === null);

const first = (pair: number) => tokenNumber(2 * pair);
const second = (pair: number) => ({ ...first(pair), jtiDigest: `second-${pair}`, generation: 2 });

/** The life of a pair: each step is one transaction. */
export const steps: readonly Step[] = [
  {
    name: 'issue',
    run: (store, pair) => store.insertTask(whole(pair), first(pair), [allowedUse(2 * pair, 1)]),
    after: (seen) => ({ ...seen, whole: 'active', generation: 1, tokens: 1, records: 1 }),
  },
  {
    name: 'issue a part',
    run: (store, pair) => store.insertTask(part(pair), tokenNumber(2 * pair + 1), []),
    after: (seen) => ({ ...seen, part: 'active', tokens: 2 }),
  },
  {
    name: 'spend',
    run: spending((pair) => first(pair).jtiDigest),
    after: (seen) => ({ ...seen, spent: 1 }),
  },
  {
    name: 'suspend',
    run: event('suspend'),
    after: (seen) => ({ ...seen, whole: 'suspended', part: 'suspended', records: 3 }),
  },
  {
    name: 'resume',
    run: event('resume'),
    after: (seen) => ({ ...seen, whole: 'active', generation: 2, records: 4 }),
  },
  {
    name: 'issue a further token',
    run: (store, pair) => store.insertToken(whole(pair), second(pair), []),
    after: (seen) => ({ ...seen, tokens: 3 }),
  },
  {
    name: 'spend again',
    run: spending((pair) => second(pair).jtiDigest),
    after: (seen) => ({ ...seen, spent: 2 }),
  },
  {
    name: 'record',
    run: (store, pair) =>
      store.appendRecords([allowedUse(2 * pair, 2), endRecord(2 * pair, 'x'.repeat(9_000)), allowedUse(2 * pair, 3)]),
    after: (seen) => ({ ...seen, records: 7 }),
  },
  {
    name: 'revoke a token',
    run: (store, pair) =>
      done(store.revokeToken(second(pair).jtiDigest, causeOf('operator.revoked'), 'operator'), (result) => result),
    after: (seen) => ({ ...seen, revoked: true, records: 8 }),
  },
  {
    name: 'end',
    run: event('complete'),
    after: (seen) => ({ ...seen, whole: 'completed', part: 'cancelled', records: 10 }),
  },
];

const nothing: Seen = {
  whole: 'none',
  part: 'none',
  generation: 0,
  spent: 0,
  tokens: 0,
  revoked: false,
  records: 0,
};

/** The visible state after the first `count` steps. */
export const seenAfter = (count: number): Seen =>
  steps.slice(0, count).reduce((seen, { after }) => after(seen), nothing);

/**
 * The visible state of a pair now.
 * @param spentOf the budget used by a task, by its id
 */
export function seenOf(store: Store, pair: number, spentOf: (taskId: string) => number): Seen {
  const [one, two] = [whole(pair), part(pair)].map(({ id }) => must(store.taskOf(issuer, id)));
  const digests = [first(pair).jtiDigest, tokenNumber(2 * pair + 1).jtiDigest, second(pair).jtiDigest];
  const tokens = digests.map((digest) => must(store.tokenOf(digest)));
  const records = [whole(pair), part(pair)].map(({ id }) => must(store.recordsOf(id, 100)).length);
  return {
    whole: one?.state ?? 'none',
    part: two?.state ?? 'none',
    generation: one?.generation ?? 0,
    spent: spentOf(whole(pair).id),
    tokens: tokens.filter((token) => token !== undefined).length,
    revoked: tokens.some((token) => token !== undefined && token.revokedAtMs !== null),
    records: records.reduce((sum, count) => sum + count, 0),
  };
}

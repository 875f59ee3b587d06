import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { isStoreFailure } from '../../../src/core/runtime/store-failure.ts';
import type { Store } from '../../../src/core/state/store.ts';
import { type CauseCode, causeOf } from '../../../src/core/task/cause.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { issuer, taskNumber, tokenNumber } from '../../builders/task.ts';
import { must, mustFind } from '../../builders/must.ts';
import { thoroughly } from '../../thoroughly.ts';

const folder = testFolders();

/** The parent of each task: 1 of 2 and 4, and 2 of 3. */
const parents: Readonly<Record<number, number>> = { 2: 1, 3: 2, 4: 1 };
const numbers = [1, 2, 3, 4];
const isWithin = (n: number, whole: number): boolean => {
  const parent = parents[n];
  return parent !== undefined && (parent === whole || isWithin(parent, whole));
};

const suspensions = ['agent.suspended', 'context.changed', 'signal.session-revoked', 'operator.suspended'] as const;
const resumptions = ['agent.resumed', 'operator.resumed'] as const;

const step = fc.record({
  n: fc.constantFrom(...numbers),
  cause: fc.constantFrom<CauseCode>(...suspensions, ...resumptions),
});

/** The causes that have suspended each task since it was last active. Ranks are ignored: each of them blocks the agent. */
type Model = Map<number, Set<CauseCode>>;

/** The expected result of a step, and the suspensions of each task after it. */
function expected(model: Model, { n, cause }: { readonly n: number; readonly cause: CauseCode }): string {
  const own = model.get(n) ?? new Set();
  if (cause !== 'agent.resumed' && cause !== 'operator.resumed') {
    own.add(cause);
    for (const part of numbers.filter((one) => isWithin(one, n))) model.get(part)?.add('parent.suspended');
    return 'suspended';
  }
  const parent = parents[n];
  if (parent !== undefined && (model.get(parent)?.size ?? 0) > 0) return 'parent';
  const agentsOwn: ReadonlySet<CauseCode> = new Set<CauseCode>(['agent.suspended', 'parent.suspended']);
  if (cause === 'agent.resumed' && [...own].some((one) => !agentsOwn.has(one))) return 'held';
  own.clear();
  return 'active';
}

const taskIn = (store: Store, n: number) => mustFind(store.taskOf(issuer, taskNumber(n).id));

const causesOf = (store: Store, n: number): readonly CauseCode[] => {
  const stored = must(store.recordsOf(taskNumber(n).id, 1_000));
  return stored.map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString()).cause);
};

describe('suspending and resuming a task and its parts', () => {
  it('never lets an agent lift a suspension by an operator, a signal, a context or a parent, in any order', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 24 }), (steps) => {
        const store = mustOpen(join(folder(), 'state.db'));
        const model: Model = new Map(numbers.map((n) => [n, new Set<CauseCode>()]));
        for (const n of numbers) {
          const parent = parents[n];
          const task = taskNumber(n, parent === undefined ? {} : { parentId: taskNumber(parent).id });
          expect(store.insertTask(task, tokenNumber(n), [])).toBeNull();
        }
        for (const taken of steps) {
          const { n, cause } = taken;
          const kind = cause === 'agent.resumed' || cause === 'operator.resumed' ? 'resume' : 'suspend';
          const result = store.applyTaskEvent(taskNumber(n), { kind, cause: causeOf(cause) }, 'somebody');
          if (result === undefined || isStoreFailure(result)) throw new Error('not done');
          expect('problem' in result ? result.problem : result.task.state).toBe(expected(model, taken));
          for (const [one, standing] of model) {
            const { state, cause: held } = taskIn(store, one);
            expect(state).toBe(standing.size === 0 ? 'active' : 'suspended');
            if (held === null) expect(state).toBe('active');
            else expect(standing).toContain(held.code);
          }
        }
        store.close();
      }),
      { numRuns: thoroughly(60, 20) },
    );
  });

  it('keeps every stronger suspension in the record of the task and of its parts', () => {
    const store = mustOpen(join(folder(), 'state.db'));
    for (const n of [1, 2]) {
      store.insertTask(taskNumber(n, n === 2 ? { parentId: taskNumber(1).id } : {}), tokenNumber(n), []);
    }
    const suspend = (n: number, code: CauseCode) =>
      store.applyTaskEvent(taskNumber(n), { kind: 'suspend', cause: causeOf(code) }, 'somebody');
    expect(suspend(2, 'agent.suspended')).toMatchObject({ changed: true });
    expect(suspend(1, 'agent.suspended')).toMatchObject({ changed: true });
    expect(suspend(1, 'operator.suspended')).toMatchObject({ changed: true });
    expect(suspend(2, 'operator.suspended')).toMatchObject({ changed: true });
    expect(suspend(2, 'agent.suspended')).toMatchObject({ changed: false });
    expect(causesOf(store, 1)).toEqual(['agent.suspended', 'operator.suspended']);
    expect(causesOf(store, 2)).toEqual(['agent.suspended', 'parent.suspended', 'operator.suspended']);
    store.close();
  });
});

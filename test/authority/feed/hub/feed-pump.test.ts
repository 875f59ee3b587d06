import { expect, it } from '@jest/globals';
import type { AuthorityEngine } from '../../../../src/authority/feed/engine.ts';
import { storeFailure } from '../../../../src/core/runtime/store-failure.ts';
import type { SidecarState } from '../../../../src/sidecar/state/sidecar-state.ts';
import { must } from '../../../builders/must.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { byOperator } from '../../../builders/task.ts';
import { until } from '../../../until.ts';
import { digestOf, keyOf, serving } from '../serving.ts';
import { openSidecar } from '../../../builders/sidecar-state.ts';

const folder = testFolders();

it('reads cards that fail once a poll, and sends them once they can be read', async () => {
  const counts = { polls: 0, cards: 0 };
  let isFailing = false;
  const around = (real: AuthorityEngine): AuthorityEngine => ({
    ...real,
    feedAfter: async (position) => {
      counts.polls += 1;
      return real.feedAfter(position);
    },
    cards: async (wanted) => {
      counts.cards += 1;
      return isFailing ? storeFailure('busy', 'the database is away') : real.cards(wanted);
    },
  });
  const authority = await serving(folder(), { around });
  const sidecar = openSidecar(authority.targets);
  try {
    await until(() => sidecar.problem() === null, { what: 'a lease' });
    await authority.declared(1);
    await sidecar.states.open(keyOf(1), digestOf(1));
    isFailing = true;
    const before = { ...counts };
    must(await authority.state.authority.applyTaskEvent(keyOf(1), byOperator('cancel'), 'operator'));
    await until(() => counts.polls - before.polls > 20, { what: 'twenty polls' });
    expect(counts.cards).toBeGreaterThan(before.cards);
    // Each poll, acknowledgement and beat tries again once.
    expect(counts.cards - before.cards).toBeLessThan(4 * (counts.polls - before.polls));
    isFailing = false;
    const isEnded = () => {
      const found = sidecar.states.of(keyOf(1), digestOf(1));
      return found !== undefined && 'task' in found && found.task.state === 'cancelled';
    };
    await until(isEnded, { what: 'the end at the sidecar' });
  } finally {
    sidecar.close();
    await authority.close();
  }
});

const stateAt = ({ states }: SidecarState, n: number): unknown => {
  const found = states.of(keyOf(n), digestOf(n));
  return found !== undefined && 'task' in found ? found.task.state : found;
};

it('reads a card that many sidecars hold once for some of them, and each gets what it may have', async () => {
  const asked: (readonly unknown[])[] = [];
  const around = (real: AuthorityEngine): AuthorityEngine => ({
    ...real,
    cards: async (wanted) => {
      asked.push(wanted);
      return real.cards(wanted);
    },
  });
  const authority = await serving(folder(), { around });
  const sidecars = Array.from({ length: 6 }, () => openSidecar(authority.targets));
  try {
    await until(() => sidecars.every((one) => one.problem() === null), { what: 'leases' });
    await authority.declared(1);
    await authority.declared(2);
    const opened = async (): Promise<boolean> => {
      for (const [at, one] of sidecars.entries()) {
        await one.states.open(keyOf(1), digestOf(1));
        // Two of them hold another task too.
        if (at < 2) await one.states.open(keyOf(2), digestOf(2));
      }
      return sidecars.every((one, at) => stateAt(one, 1) === 'active' && (at >= 2 || stateAt(one, 2) === 'active'));
    };
    await until(opened, { what: 'open tasks' });
    asked.length = 0;
    must(await authority.state.authority.applyTaskEvent(keyOf(1), byOperator('cancel'), 'operator'));
    must(await authority.state.authority.applyTaskEvent(keyOf(2), byOperator('complete'), 'operator'));
    await until(() => sidecars.every((one) => stateAt(one, 1) === 'cancelled'), { what: 'the end at all' });
    await until(() => sidecars.slice(0, 2).every((one) => stateAt(one, 2) === 'completed'), { what: 'the other end' });
    // Eight cards were sent. Each end is read once or, where the polls come between, a few times.
    expect(asked.flat().length).toBeLessThan(8);
  } finally {
    for (const one of sidecars) one.close();
    await authority.close();
  }
});

import { afterAll, expect, it } from '@jest/globals';
import type { Engine } from '../../src/authority/engine.ts';
import { systemPorts } from '../../src/runtime/ports.ts';
import { after } from '../../src/runtime/timers.ts';
import { storeFailure } from '../../src/sqlite/store-failure.ts';
import { SidecarState } from '../../src/state/remote/sidecar-state.ts';
import { must } from '../builders/must.ts';
import { scratch } from '../builders/scratch.ts';
import { byOperator } from '../builders/task.ts';
import { until } from '../until.ts';
import { digestOf, keyOf, serving } from './serving.ts';

const { folder, remove } = scratch();
afterAll(remove);

it('reads cards that fail once a poll, and sends them once they can be read', async () => {
  const counts = { polls: 0, cards: 0 };
  let isFailing = false;
  const around = (real: Engine): Engine => ({
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
  const sidecar = SidecarState.open({
    targets: authority.targets,
    placeOf: (target) => ({ target, tls: null }),
    hello: () => ({ version: '0.2.0', policy_set: '', log: null }),
    status: () => ({ policy_set: '', policy_generation: 0, unacknowledged_records: 0, last_error: '' }),
    ports: systemPorts,
    after,
    onKeys: () => undefined,
    onProblem: () => undefined,
    onOpened: () => undefined,
    onSettled: () => undefined,
  });
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

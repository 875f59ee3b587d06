import { expect, it } from '@jest/globals';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { serving } from '../../authority/feed/serving.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { until } from '../../until.ts';
import { seen, titleOf } from './rows.ts';
import { watch } from './watched-state.ts';
import { openSidecar } from '../../builders/sidecar-state.ts';

const folder = testFolders();

/** Nobody can pause the machine of a test: its sidecar has clocks that do what those of a paused machine do. */
it(titleOf('D-21'), async () => {
  const leaseMs = 120_000;
  const authority = await serving(folder(), { leaseMs });
  let stoodMs = 0;
  const sidecar = openSidecar(authority.targets, {
    // Its monotonic clock does not tell that it stood still.
    ports: { ...systemPorts, nowMs: () => systemPorts.nowMs() + stoodMs },
  });
  try {
    await until(() => sidecar.problem() === null, { what: 'a lease' });
    await authority.declared(1);
    const watched = await watch(sidecar, 1);
    watched.stop();
    // From now on it hears nothing, as while it stands still.
    await authority.close();
    expect(watched.isAllowed()).toBe(true);
    stoodMs = leaseMs;
    seen('D-21', { 'late uses': Number(watched.isAllowed()) });
    expect(watched.isAllowed()).toBe(false);
    expect(sidecar.measures().leaseLeftMs).toBe(0);
    expect(sidecar.problem()).toMatch(/^no authority has confirmed the state of tasks for a lease/);
  } finally {
    sidecar.close();
  }
});

import { systemPorts } from '../../src/core/runtime/ports.ts';
import { after } from '../../src/core/runtime/timers.ts';
import { SidecarState, type SidecarStateOptions } from '../../src/sidecar/state/sidecar-state.ts';

/** Opens the state of a sidecar that connects in clear, applies no policies and reports nothing. The caller closes it. */
export const openSidecar = (targets: readonly string[], change: Partial<SidecarStateOptions> = {}): SidecarState =>
  SidecarState.open({
    targets,
    placeOf: (target) => ({ target, tls: null }),
    hello: () => ({ version: '0.2.0', policy_set: '', log: null }),
    status: () => ({ policy_set: '', policy_generation: 0, unacknowledged_records: 0, last_error: '' }),
    ports: systemPorts,
    after,
    onKeys: () => undefined,
    onEnded: () => undefined,
    onProblem: () => undefined,
    onOpened: () => undefined,
    onSettled: () => undefined,
    ...change,
  });

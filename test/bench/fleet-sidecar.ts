import type { IssuedSvid } from '../../src/dev/authority.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { after } from '../../src/core/runtime/timers.ts';
import { isStoreFailure } from '../../src/core/runtime/store-failure.ts';
import { SidecarState } from '../../src/sidecar/state/sidecar-state.ts';
import { svidOf } from '../authority/feed/serving.ts';
import { mustSpiffeId } from '../builders/spiffe-id.ts';

/** A token, as sidecars know it. */
export interface BenchToken {
  readonly key: { readonly issuer: string; readonly id: string };
  readonly jtiDigest: string;
}

/** How a sidecar connects: its SVID, and the port of the authority. */
export interface SidecarPlace {
  readonly port: number;
  readonly svid: IssuedSvid;
  readonly bundlePem: string;
}

/** A sidecar of the benchmark holds few cards, and thousands of them have to fit into one machine. */
const MAX_CARDS = 1_024;

/** The state of a sidecar as the product has it, over mutual TLS. */
export function benchSidecar({ bundlePem, port, svid: issued }: SidecarPlace, maxCards = MAX_CARDS): SidecarState {
  const svid = svidOf(issued, { bundlePem });
  return SidecarState.open({
    targets: [`127.0.0.1:${port}`],
    maxCards,
    placeOf: (target) => ({ target, tls: { svid, authorityId: mustSpiffeId('spiffe://acme.test/remit') } }),
    hello: () => ({ version: '0', policy_set: '', log: null }),
    status: () => ({ policy_set: '', policy_generation: 0, unacknowledged_records: 0, last_error: '' }),
    ports: systemPorts,
    after,
    onKeys: () => undefined,
    onProblem: () => undefined,
    onOpened: () => undefined,
    onSettled: () => undefined,
  });
}

/** Whether a sidecar would allow a use now. */
export function isAllowed({ states }: SidecarState, { key, jtiDigest }: BenchToken): boolean {
  const state = states.of(key, jtiDigest);
  return state !== undefined && !isStoreFailure(state) && state.task.state === 'active';
}

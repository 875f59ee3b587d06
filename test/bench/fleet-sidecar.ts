import type { IssuedSvid } from '../../src/dev/authority.ts';
import { isStoreFailure } from '../../src/core/runtime/store-failure.ts';
import type { SidecarState } from '../../src/sidecar/state/sidecar-state.ts';
import { svidOf } from '../authority/feed/serving.ts';
import { mustSpiffeId } from '../builders/spiffe-id.ts';
import { openSidecar } from '../builders/sidecar-state.ts';

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
  return openSidecar([`127.0.0.1:${port}`], {
    maxCards,
    placeOf: (target) => ({ target, tls: { svid, authorityId: mustSpiffeId('spiffe://acme.test/remit') } }),
    hello: () => ({ version: '0', policy_set: '', log: null }),
  });
}

/** Whether a sidecar would allow a use now. */
export function isAllowed({ states }: SidecarState, { key, jtiDigest }: BenchToken): boolean {
  const state = states.of(key, jtiDigest);
  return state !== undefined && !isStoreFailure(state) && state.task.state === 'active';
}

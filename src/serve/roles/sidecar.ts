import type { AuthorityConfig } from '../../core/config/authority.ts';
import type { ExtAuthzConfig } from '../../core/config/ext-authz.ts';
import { remitVersion } from '../../core/config/version.ts';
import { isDeny } from '../../core/decision/decision.ts';
import type { PolicySet } from '../../core/policy/loading/load.ts';
import type { Deny } from '../../core/decision/decision.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import { after } from '../../core/runtime/timers.ts';
import type { RemoteProofs } from '../../sidecar/state/remote-proofs.ts';
import { SidecarState } from '../../sidecar/state/sidecar-state.ts';
import type { Faults } from '../../core/telemetry/faults.ts';
import type { Metrics } from '../../core/telemetry/metrics/metrics.ts';
import { ProofMemory } from '../../core/token/proof/proof-memory.ts';
import type { OnProofRefused, ReplayMemory } from '../../core/token/proof/proof-memory.ts';
import { defaultProofRules } from '../../core/token/proof/proof.ts';
import type { AuthorityPlaces } from './authority-places.ts';
import type { Proofs, State } from '../state/state.ts';

/** Dependencies of the state of a sidecar. Dependencies that are opened later are functions. */
export interface SidecarServices {
  readonly ports: Ports;
  readonly faults: Faults;
  readonly metrics: Metrics;
  readonly policies: () => PolicySet | Deny | null;
  /** Why no record is taken, and how many records no authority has acknowledged. */
  readonly ledger: () => { readonly problem: string | null; readonly unacknowledged: number } | null;
  /** Receives the keys of tokens when they change. */
  readonly onKeys: (issuer: string, jwks: unknown) => void;
  readonly onEnded: () => void;
  readonly closers: { push(closer: () => unknown): void };
}

/** Opens the state of a sidecar: it begins to follow one of the authorities, without waiting. */
export function openSidecar(
  { targets, placeOf }: AuthorityPlaces,
  { proofMemory, answerMs }: Pick<ExtAuthzConfig, 'proofMemory'> & Pick<AuthorityConfig, 'answerMs'>,
  { ports, faults, metrics, policies, ledger, onKeys, onEnded, closers }: SidecarServices,
): State {
  const inForce = (): PolicySet | null => {
    const set = policies();
    return set === null || isDeny(set) ? null : set;
  };
  const sidecar = SidecarState.open({
    targets,
    placeOf,
    hello: () => ({ version: remitVersion(), policy_set: inForce()?.hash ?? '', log: null }),
    status: () => ({
      policy_set: inForce()?.hash ?? '',
      policy_generation: inForce()?.generation ?? 0,
      unacknowledged_records: ledger()?.unacknowledged ?? 0,
      last_error: ledger()?.problem ?? '',
    }),
    ports,
    after,
    answerMs,
    onKeys,
    onEnded,
    onProblem: (problem) => faults.set('state of tasks', problem),
    onOpened: (result, count) => metrics.sidecarOpens.of({ result }).inc(count),
    onSettled: (result, count) => metrics.sidecarSettles.of({ result }).inc(count),
  });
  closers.push(() => sidecar.close());
  const remembering = { pastSeconds: defaultProofRules.pastSeconds, startedAtMs: ports.nowMs() };
  return {
    states: sidecar.states,
    settling: sidecar.settling,
    authority: null,
    stateFile: null,
    database: null,
    sidecar,
    reporting: sidecar.reports,
    sharedUses: {
      before: (key, jtiDigest) => sidecar.usesBefore(key, jtiDigest),
      write: (uses) => sidecar.reports.writeUses(uses),
    },
    digestOf: (secret) => sidecar.digestOf(secret),
    proofs: proofsOf(
      (onRefused) => new ProofMemory({ ...remembering, onRefused }),
      proofMemory === 'authority' ? sidecar.proofs : null,
    ),
  };
}

/** The replay memory of a sidecar: its own, in front of that of the authority if sidecars share their memory of proofs. */
const proofsOf = (own: (onRefused: OnProofRefused) => ReplayMemory, shared: RemoteProofs | null): Proofs =>
  shared === null
    ? { memoryFor: (_role, onRefused) => own(onRefused) }
    : {
        memoryFor: (_role, onRefused) => shared.over(own(onRefused)),
        usedElsewhere: (proof) => shared.usedElsewhere(proof),
      };

import { unmetGateTexts, waivedGateTexts } from './admin/readiness.ts';
import type { Gate } from './admin/readiness.ts';
import type { ServingAuthority } from '../authority/feed/start-authority.ts';
import type { AuthorizationServer } from '../sidecar/envoy/server.ts';
import { LOST_COMMITS } from '../core/fleet/fleet-report.ts';
import type { TokenKeys } from '../authority/issuer/keys/signing-keys.ts';
import type { Log } from '../core/telemetry/log.ts';
import type { KeyRing } from '../core/token/jose/keys.ts';
import { repeatedly } from '../core/runtime/repeatedly.ts';
import { after } from '../core/runtime/timers.ts';
import type { Drain } from './drain.ts';
import { ownSvidProblem } from './keys/own-svid.ts';
import type { Parts } from './parts.ts';
import { policyGate } from './policy-gate.ts';

const LOOK_MS = 500;

/** The conditions for readiness of this process. Each names what is missing. */
export const gatesOf = (
  { config, policies, states, ledger, database, sidecar, stateHealth, svid }: Parts,
  {
    keys,
    signingKeys,
    drain,
    authority,
    mesh,
    hasChecks,
  }: {
    readonly keys: KeyRing;
    readonly signingKeys: Pick<TokenKeys, 'problem'> | null;
    readonly drain: Drain;
    readonly authority: Pick<ServingAuthority, 'problem'> | null;
    readonly mesh: Pick<Gate, 'problem'>;
    /** Whether this process answers checks. */
    readonly hasChecks: boolean;
  },
): readonly Gate[] => [
  policyGate({ policies, states, hasChecks }),
  {
    name: 'keys',
    problem: () => {
      const missing = keys.ready();
      return missing.length === 0 ? null : `no keys of ${missing.join(', ')}`;
    },
  },
  ...(sidecar === null
    ? [{ name: 'state', problem: () => stateHealth.problem() }]
    : [
        { name: 'lease', problem: () => sidecar.problem() },
        { name: 'position', problem: () => sidecar.refusal() },
        { name: 'records', problem: () => ledger.writer.unacknowledged },
      ]),
  ...(database === null
    ? []
    : [
        { name: LOST_COMMITS, problem: () => database.lost() },
        { name: 'database', problem: () => database.problem() },
      ]),
  ...(database === null || signingKeys === null ? [] : [{ name: 'signing-key', problem: () => signingKeys.problem() }]),
  ...(authority === null ? [] : [{ name: 'authority', problem: () => authority.problem() }]),
  { name: 'mesh', problem: () => mesh.problem() },
  { name: 'ledger', problem: () => ledger.writer.unwritten },
  {
    name: 'svid',
    problem: () => {
      const current = svid?.current() ?? null;
      if (current !== null) return ownSvidProblem(current, config);
      return svid === null ? null : (svid.problem() ?? 'no SVID');
    },
  },
  { name: 'drain', problem: () => (drain.isBegun ? 'the process is about to stop' : null) },
];

/**
 * Keeps the gRPC health in step with readiness, and logs each change of which gates are unmet, not of their causes: a cause can change with
 * each retry. Also logs why a gate is waived. The returned function stops it.
 */
export function followGates(
  server: AuthorizationServer | null,
  { gates, drain, log }: { readonly gates: readonly Gate[]; readonly drain: Drain; readonly log: Log },
): () => Promise<void> {
  let loggedGates: string | null = null;
  let loggedWaived = '';
  const look = (): void => {
    const waived = waivedGateTexts(gates).join('; ');
    if (waived !== loggedWaived && waived !== '') log(`gate waived: ${waived}`, 'gate-waived');
    loggedWaived = waived;
    const unmet = unmetGateTexts(gates);
    server?.setServing(unmet.length === 0);
    const gatesUnmet = unmet.map((text) => text.slice(0, text.indexOf(':'))).join();
    if (gatesUnmet === loggedGates) return;
    loggedGates = gatesUnmet;
    if (unmet.length === 0) log('ready', 'ready');
    else log(`not ready: ${unmet.join('; ')}`, 'not-ready', { unmet: unmet.length });
  };
  drain.onBegun = look;
  look();
  // A gate that throws counts as not met.
  return repeatedly(look, { everyMs: LOOK_MS, after, onFault: () => server?.setServing(false) });
}

/** The services of checks, made of the parts of a process and its configuration. */
import type { CheckServices } from '../../sidecar/check/services.ts';
import { AgentRate } from '../../core/runtime/collections/agent-rate.ts';
import { askingAgentIn, carriesProof } from '../../sidecar/envoy/check/asking-agent.ts';
import { leafCache } from '../../core/identity/leaf-certificate.ts';
import { resourceMetadataUrl } from '../../authority/issuer/resource-metadata.ts';
import { checkMetrics } from '../../core/telemetry/metrics/check-metrics.ts';
import { decisionLog, isLogged } from '../../core/telemetry/decision-log.ts';
import { after } from '../../core/runtime/timers.ts';
import type { KeyRing } from '../../core/token/jose/keys.ts';
import type { ProofNonces } from '../../core/token/proof/proof-nonce.ts';
import { defaultProofRules } from '../../core/token/proof/proof.ts';
import type { TransactionTokenSigner } from '../../core/token/transaction-token-signer.ts';
import type { TokenCache } from '../../core/token/token-cache.ts';
import { UseSharing } from '../../core/state/use-sharing.ts';
import type { TokenUses } from '../../core/token/uses.ts';
import { foreignCallers } from '../foreign-callers.ts';
import { formerCertificates } from '../keys/former-certificates.ts';
import { missingCertificates } from '../keys/missing-certificates.ts';
import type { Parts } from '../parts.ts';
import type { RefusedChecks } from './refused-checks.ts';
import { MAX_TOKEN_BYTES } from './verified-tokens.ts';

const MAX_LEAVES_CACHED = 1024;

/** The keys that verify tokens, and the signer of transaction tokens. */
export interface CheckKeys {
  readonly keys: KeyRing;
  /** Tokens whose signature is verified. */
  readonly verified: TokenCache;
  readonly transactionToken: TransactionTokenSigner | null;
}

/**
 * Limits the rate of each agent: before its check is decoded, or once its proof is verified. `admit` names the agent for the queue, in which
 * agents take turns.
 */
interface Admission {
  readonly admit: (request: Buffer) => string | null;
  readonly admits?: NonNullable<CheckServices['admits']>;
}

/**
 * An agent is the identity of the connection. Behind a hop all agents share that identity. There a check with a proof is counted once the
 * proof is verified: for the agent of its token if it is valid, else for the hop. A check without a proof counts for the hop at once. So a
 * check without a valid proof never uses up another agent's rate, whatever token it carries.
 */
export function admission({ config, ports }: Parts, refused: RefusedChecks): Admission {
  const { binding, identity, maxChecksPerSecondPerAgent: perSecond } = config.extAuthz;
  const rate = new AgentRate({ perSecond, monotonicMs: ports.monotonicMs });
  const take = (agent: string, name = agent): boolean => {
    const isAdmitted = rate.take(agent);
    if (!isAdmitted) refused.addAgent(name);
    return isAdmitted;
  };
  const byConnection = (agent: string): string | null => (take(agent) ? agent : null);
  if (binding !== 'dpop') return { admit: (request) => byConnection(askingAgentIn(request, identity)) };
  return {
    admit: (request) => {
      const agent = askingAgentIn(request, identity);
      return carriesProof(request) ? agent : byConnection(agent);
    },
    admits: ({ proven, hop }) => (proven === null ? take(hop) : take(`proven ${proven}`, proven)),
  };
}

function observerOf(parts: Parts): CheckServices['onChecked'] {
  const { live, decisionStream, metrics, trial } = parts;
  const counted = checkMetrics(metrics);
  const noteCertificate = missingCertificates(parts);
  const noteFormer = formerCertificates(parts);
  const noteForeign = foreignCallers(parts);
  const count: CheckServices['onChecked'] = (check) => {
    counted(check);
    noteCertificate(check);
    noteFormer(check);
    noteForeign(check);
    trial.checked(check);
  };
  if (decisionStream === null) return count;
  const dropped = metrics.decisionLogDropped.of({});
  const log = decisionLog(decisionStream, () => dropped.inc());
  return (check) => {
    count(check);
    if (isLogged(check, live().decisionLog)) log(check);
  };
}

/** Shares the uses of tokens with other sidecars; `undefined` if there are none. */
export const sharingOf = ({ sharedUses, reports }: Parts, uses: TokenUses): UseSharing | undefined =>
  sharedUses === null
    ? undefined
    : new UseSharing({ uses, usesBefore: sharedUses.before, report: (one) => reports.usesOf(one), after });

/** The services of checks that follow from the configuration and the shared parts. */
export function checkServicesOf(
  parts: Parts,
  { keys, nonces, transactionToken, verified }: CheckKeys & { readonly nonces: ProofNonces | undefined },
): Omit<CheckServices, 'outcomes' | 'uses'> {
  const { config, ports, digestOf, states, settling, reports, ledger, policies, telemetry, announced, live } = parts;
  const { extAuthz, issuer } = config;
  return {
    ports,
    identity: {
      mode: extAuthz.identity,
      trustDomains: new Set(config.trustDomains),
      proxyIds: extAuthz.proxyId,
      forwarders: new Set(extAuthz.forwarders),
      leafFrom: leafCache(MAX_LEAVES_CACHED),
    },
    binding: extAuthz.binding,
    onBindingViolation: extAuthz.onBindingViolation,
    maxTokenSeconds: extAuthz.maxTokenSeconds,
    clockSkewSeconds: extAuthz.clockSkewSeconds,
    externalTokens: {
      types: new Map(config.acceptedIssuers.map((accepted) => [accepted.issuer, new Set(accepted.types)])),
      maxLifetimeSeconds: config.maxExternalTokenSeconds,
      clockSkewSeconds: extAuthz.clockSkewSeconds,
      maxBytes: MAX_TOKEN_BYTES,
    },
    keys,
    verified,
    proofs: {
      externalUrl: extAuthz.externalUrl,
      rules: defaultProofRules,
      nonces,
      usedElsewhere: parts.proofs.usedElsewhere,
      memory: parts.proofs.memoryFor('checks', (bound) =>
        parts.metrics.proofsRefused.of({ role: 'checks', bound }).inc(),
      ),
    },
    policies: () => policies.get(),
    lastPolicies: () => policies.last,
    states,
    settling,
    sidecar:
      parts.sidecar === null
        ? null
        : { origin: ledger.origin, keep: parts.sidecar.settling.keep.bind(parts.sidecar.settling) },
    digestOf,
    reports,
    ledger: ledger.writer,
    spans: telemetry.spans,
    spanArguments: () => live().telemetry.spanArguments,
    onChecked: observerOf(parts),
    transactionToken,
    denialDetails: config.extAuthz.denialDetails,
    resourceMetadataUrl: (id, port) => {
      const url = issuer?.url ?? announced.issuer;
      return url === null ? null : resourceMetadataUrl(url, { id }, port);
    },
  };
}

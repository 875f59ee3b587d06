/** Checks by services that tests change one by one. */
import { randomBytes } from 'node:crypto';
import type { HttpCall } from '../../../src/core/action/http/call.ts';
import type { LedgerWriter } from '../../../src/core/ledger/writer.ts';
import type { PolicySet } from '../../../src/core/policy/loading/load.ts';
import { Fault } from '../../../src/core/runtime/collections/map-isolated.ts';
import { Reports } from '../../../src/core/state/reports.ts';
import type { Store } from '../../../src/core/state/store.ts';
import { ProofMemory } from '../../../src/core/token/proof/proof-memory.ts';
import { defaultProofRules } from '../../../src/core/token/proof/proof.ts';
import { TokenCache } from '../../../src/core/token/token-cache.ts';
import { TokenUses } from '../../../src/core/token/uses.ts';
import type { Answer } from '../../../src/sidecar/check/answer.ts';
import { checksWith } from '../../../src/sidecar/check/check.ts';
import type { CheckServices } from '../../../src/sidecar/check/services.ts';
import { directAuthority } from '../../builders/direct-authority.ts';
import { mustTrustDomain } from '../../builders/spiffe-id.ts';
import { agent, type es256Key, nowMs, ringOf } from '../../builders/tokens.ts';
import { HeldTimers } from '../../core/identity/held-timers.ts';

/** The time of all checks. */
export const ports = { nowMs: () => nowMs, monotonicMs: () => 0, randomBytes };

/** Services of a process with its own state file, which accepts the tokens of a key. */
export const checkServices = (
  {
    store,
    ledger,
    key,
    policies,
  }: {
    readonly store: Store;
    readonly ledger: LedgerWriter;
    readonly key: ReturnType<typeof es256Key>;
    readonly policies: PolicySet;
  },
  over: Partial<CheckServices>,
): CheckServices => ({
  ports,
  identity: {
    mode: 'peer',
    trustDomains: new Set([mustTrustDomain('acme.test')]),
    proxyIds: [],
    forwarders: new Set(),
  },
  binding: 'spiffe-id',
  onBindingViolation: 'revoke-token',
  maxTokenSeconds: 900,
  clockSkewSeconds: 5,
  externalTokens: { types: new Map(), maxLifetimeSeconds: 3600, clockSkewSeconds: 5, maxBytes: 8192 },
  keys: ringOf([key]),
  verified: new TokenCache({ tokens: 10, signatures: 10 }),
  proofs: {
    externalUrl: null,
    rules: defaultProofRules,
    memory: new ProofMemory({ pastSeconds: defaultProofRules.pastSeconds, startedAtMs: nowMs }),
  },
  policies: () => policies,
  states: directAuthority(store).states,
  settling: directAuthority(store).settling,
  sidecar: null,
  digestOf: (secret) => store.digestOf(secret),
  reports: new Reports(directAuthority(store), { after: new HeldTimers().after, log: () => undefined }),
  uses: new TokenUses(10),
  ledger,
  spans: null,
  transactionToken: null,
  denialDetails: 'verified',
  resourceMetadataUrl: () => null,
  outcomes: { answered: () => undefined, decided: () => undefined },
  onChecked: () => undefined,
  ...over,
});

/** What a check knows of a call beside the call and its peer. */
export const quiet = { trace: { parent: null, application: null }, sourceAddress: null, sourcePort: null };

/** The answers of checks that are made in one turn, in order. */
export async function answersTo(
  services: CheckServices,
  calls: readonly HttpCall[],
  principal: string = agent,
): Promise<readonly Answer[]> {
  const checks = checksWith(services);
  const asked = calls.map((call) => ({
    facts: { peer: { principal, certificate: '', xfcc: [] }, call, ...quiet },
    call: { deadlineMs: Infinity, signal: { aborted: false }, traceparent: null },
  }));
  const answers = checks.answers(asked).map((answer) => {
    if (answer instanceof Fault) throw answer.error;
    return answer;
  });
  checks.afterwards();
  return Promise.all(answers.map(async (answer) => answer));
}

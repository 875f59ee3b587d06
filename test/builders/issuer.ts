import type { Catalog } from '../../src/core/action/catalog/catalog.ts';
import { deny, isDeny } from '../../src/core/decision/decision.ts';
import type { Decision, Deny } from '../../src/core/decision/decision.ts';
import type { IssuerParts } from '../../src/authority/issuer/services.ts';
import type { TokenKeys } from '../../src/authority/issuer/keys/signing-keys.ts';
import { everyUseDenied } from '../../src/core/policy/every-use.ts';
import { authorizeGrant } from '../../src/core/policy/authorize.ts';
import type { PolicySet } from '../../src/core/policy/loading/load.ts';
import type { Question } from '../../src/core/policy/question.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { after } from '../../src/core/runtime/timers.ts';
import { Reports } from '../../src/core/state/reports.ts';
import { directAuthority } from './direct-authority.ts';
import type { Store } from '../../src/core/state/store.ts';
import { mustTrustDomain } from './spiffe-id.ts';

/** What of an issuer is not as usual. */
export type IssuerChange = Partial<Omit<IssuerParts, 'settings' | 'policies'>> & {
  readonly settings?: Partial<IssuerParts['settings']>;
  /** The catalog in force. Default that of the set. */
  readonly catalog?: Catalog | Deny;
  /** Decides. Default by the set. */
  readonly grant?: (question: Question) => Decision;
  /** The limits over all tasks. Default those of the set. */
  readonly taskLimits?: PolicySet['limits'];
};

/** What an issuer is made with: a state file, a policy set and keys; told of problems, a line each. */
export interface IssuerGround {
  readonly url: string;
  readonly store: Store;
  readonly set: PolicySet;
  readonly signingKeys: TokenKeys;
  readonly onProblem?: (line: string) => void;
}

/** A whole issuer over a state file that is written in this thread; nothing is traced, and refusals are recorded nowhere. */
export function issuerServices(
  { url, store, set, signingKeys, onProblem = () => undefined }: IssuerGround,
  {
    settings = {},
    catalog = set.catalog,
    grant = (question) => authorizeGrant(set, question, systemPorts.nowMs()),
    taskLimits = set.limits,
    ...change
  }: IssuerChange = {},
): IssuerParts {
  const { authority, states } = directAuthority(store);
  return {
    settings: {
      url,
      trustDomains: new Set([mustTrustDomain('acme.test')]),
      tokenSeconds: 300,
      taskSeconds: 900,
      maxTaskSeconds: 86_400,
      idleSeconds: null,
      // Tests stop tasks and declare the next one at once.
      stoppedTaskWaitSeconds: null,
      contextRules: {},
      subjectIssuers: [],
      bindingEffect: 'revoke-token',
      introspectors: new Set(),
      operators: new Set(),
      emergencyOperators: new Set(),
      ...settings,
    },
    ports: systemPorts,
    authority,
    reports: new Reports({ authority, states }, { after, log: onProblem }),
    recordsOf: async (taskId, limit) => store.recordsOf(taskId, limit),
    signingKeys,
    subjectKeys: { keyFor: () => deny('token.issuer', 'claim `iss` is not a trusted issuer') },
    proofs: null,
    append: () => true,
    policies: () =>
      isDeny(catalog)
        ? catalog
        : {
            catalog,
            hash: set.hash,
            grant,
            preview: grant,
            limits: taskLimits,
            observed: set.observed,
            everyUseDenied: (uses) => everyUseDenied(set, uses),
          },
    lastCatalog: () => (isDeny(catalog) ? null : catalog),
    tracer: { start: () => ({ traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), end: () => undefined }) },
    ...change,
  };
}

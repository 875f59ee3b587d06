import type { Catalog } from '../../core/action/catalog/catalog.ts';
import { isDeny } from '../../core/decision/decision.ts';
import type { Decision, Deny } from '../../core/decision/decision.ts';
import type { ObserveEntry } from '../../core/policy/enforcement.ts';
import type { IntendedUses } from '../../core/policy/every-use.ts';
import type { SpiffeId, TrustDomain } from '../../core/identity/spiffe-id.ts';
import type { Enforcement } from '../../core/fleet/receipt.ts';
import type { LeafCertificate } from '../../core/identity/leaf-certificate.ts';
import type { Limit } from '../../core/limit/limit.ts';
import type { LedgerRecord } from '../../core/ledger/record.ts';
import type { Question } from '../../core/policy/question.ts';
import type { StoredRecord } from '../../core/ledger/timeline.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import type { Reports } from '../../core/state/reports.ts';
import type { Authority } from '../../core/state/authority.ts';
import type { StoreFailure } from '../../core/runtime/store-failure.ts';
import type { BindingEffect } from '../../core/task/binding-violation.ts';
import type { ContextEffect } from '../../core/task/task.ts';
import type { VerificationKeys } from '../../core/token/jose/jwt.ts';
import type { ReplayMemory } from '../../core/token/proof/proof-memory.ts';
import type { ProofNonces } from '../../core/token/proof/proof-nonce.ts';
import type { SignalServices } from './signals/signal-services.ts';
import type { SigningKey } from './keys/signing-key.ts';
import type { PublicJwks, TokenKeys } from './keys/signing-keys.ts';
import type { SubjectIssuer } from './token/subject-issuer.ts';
import type { IssuanceTracer } from './tracer.ts';
import type { Wait } from './tasks/wait.ts';

/** The operator's settings of the issuer. */
export interface IssuerSettings {
  /** The issuer identifier, an `https:` URL without a trailing slash: `iss` of every token and base of the endpoints. */
  readonly url: string;
  /** SPIFFE trust domains of accepted clients. */
  readonly trustDomains: ReadonlySet<TrustDomain>;
  /** Lifetime of a token. Default 300 s, 10 to 900. */
  readonly tokenSeconds: number;
  /** Lifetime of a task whose intent has no end. Default 900 s. */
  readonly taskSeconds: number;
  /** Longest lifetime of a task, whatever its intent. Default 86,400 s. */
  readonly maxTaskSeconds: number;
  /** Idle time after which a task expires. Default `null`: never. */
  readonly idleSeconds: number | null;
  /**
   * How long an agent must wait before it declares a like task, after somebody else stopped such a task. Default 300 s, at most a day.
   * `null`: no wait, not even while the task is suspended.
   */
  readonly stoppedTaskWaitSeconds: number | null;
  /**
   * Effects of changed named values, claimed or attested, by name. Without a rule a change revokes the task, except that a newly
   * attested value asks the policies. Default none.
   */
  readonly contextRules: Readonly<Record<string, ContextEffect>>;
  /** Issuers whose tokens are accepted as `subject_token`, besides this issuer. Default none. */
  readonly subjectIssuers: readonly SubjectIssuer[];
  /** Effect of a token being presented by another workload. Default `revoke-token`. */
  readonly bindingEffect: BindingEffect;
  /** Workloads that may introspect all tokens, such as resource servers; others only their own. Default none. */
  readonly introspectors: ReadonlySet<SpiffeId>;
  /** Workloads that may read, suspend, resume and cancel all tasks. Default none. */
  readonly operators: ReadonlySet<SpiffeId>;
  /** Workloads that may have calls only observed for up to an hour. Default none. */
  readonly emergencyOperators: ReadonlySet<SpiffeId>;
  /** Workloads, besides `operators`, that may attest named values of other agents' tasks. Default none. */
  readonly contextWriters?: ReadonlySet<SpiffeId>;
}

/** The policies in force, as a single value, so that decision and record refer to the same set. */
export interface GrantPolicies {
  readonly catalog: Catalog;
  /** Hash of the set. */
  readonly hash: string;
  /** Decides whether an action may be granted. */
  readonly grant: (question: Question) => Decision;
  /** As `grant`, for a dry run: policies on trial do not count it. */
  readonly preview: (question: Question) => Decision;
  /** The limits over all tasks, which a new task must be within. */
  readonly limits: readonly Limit[];
  /** Which calls are only observed. */
  readonly observed: readonly ObserveEntry[];
  /** Why every use of an action would be denied; `null` if some use may pass. */
  readonly everyUseDenied: (uses: IntendedUses) => Deny | null;
}

/** Dependencies of the issuer, shared by all requests. */
export interface IssuerParts {
  readonly settings: IssuerSettings;
  readonly ports: Pick<Ports, 'nowMs' | 'randomBytes'>;
  /** Writes, and reads for their decisions. Asynchronous: state can change between two calls. */
  readonly authority: Authority;
  /** Writes that no reply waits for. */
  readonly reports: Pick<Reports, 'revoke'>;
  readonly signingKeys: TokenKeys;
  /** Called with each token that a resource may accept, right after it was signed. Default: nothing. */
  readonly onSigned?: (token: string, key: SigningKey) => void;
  /** The keys of `settings.subjectIssuers`, never those of the issuer itself. */
  readonly subjectKeys: VerificationKeys;
  /** Transaction tokens; absent if they are not enabled. */
  readonly transactions?: {
    /** Their verification keys, which verify nothing else. */
    readonly keys: VerificationKeys;
    readonly jwks: PublicJwks;
    readonly trustDomain: TrustDomain;
  };
  /** Replay memory of DPoP proofs sent to the issuer; `null` if DPoP is not enabled. */
  readonly proofs: ReplayMemory | null;
  /** Whether other processes serve this issuer over the same state: what is taken once is taken once at all of them. Default no. */
  readonly isShared?: boolean;
  /** Nonces that such proofs must carry; absent if they need no nonce. */
  readonly nonces?: ProofNonces | undefined;
  /** Appends the record of a refusal; `false` if it is dropped, which does not affect the reply. */
  readonly append: (record: LedgerRecord) => boolean;
  /** The first `limit` records of a task in ledger order, including those that are not in the ledger yet. */
  readonly recordsOf: (taskId: string, limit: number) => Promise<readonly StoredRecord[] | StoreFailure>;
  /** The policies in force, or a denial. */
  readonly policies: () => GrantPolicies | Deny;
  /** The catalog of the last policy set, also if that set has expired or is stale; `null` before the first. Nothing is granted by it. */
  readonly lastCatalog: () => Catalog | null;
  readonly tracer: IssuanceTracer;
  /** The sidecars of other processes, by which ends are enforced; absent if none are served. */
  readonly enforcement?: Enforcement;
  /** Dependencies of `POST /signals`; absent if it is not served. */
  readonly signals?: SignalServices;
}

/** Dependencies of a request: a single set of policies, unaffected by reloads during it. */
export interface IssuerServices extends Omit<IssuerParts, 'policies'> {
  readonly policies: GrantPolicies | Deny;
  /**
   * Waits for a further turn of this request (`Turns.next`). Must be awaited before each piece of work of about a millisecond,
   * such as a question to the policies.
   */
  readonly nextTurn: () => Promise<void>;
}

/** Hash of a request's policy set; `null` if none is in force. */
export const policyHashOf = ({ policies }: Pick<IssuerServices, 'policies'>): string | null =>
  isDeny(policies) ? null : policies.hash;

/** A request to an endpoint. */
export interface IssuerRequest {
  /** As sent, without a query. */
  readonly path: string;
  readonly body: Uint8Array;
  readonly contentType: string | undefined;
  /** The values of the `authorization` header, as received: a second client authentication. Secrets. */
  readonly authorization: readonly string[];
  readonly traceparent: string | null;
  /** The client's verified certificate, as read after the handshake; why there is none, or why it is refused. */
  readonly certificate: LeafCertificate | Deny;
  /** The values of the `DPoP` header, as received. */
  readonly dpop: readonly string[];
  /** The value of `{id}` in the path; `''` if absent. */
  readonly taskId: string;
  /** The value of `{order}` in the path; `''` if absent. */
  readonly orderId: string;
  /** The value of `{server}` in the path; `''` if absent. */
  readonly serverId: string;
  /** Default `enforced`. */
  readonly wait?: Wait;
}

import type { Catalog } from '../action/catalog.ts';
import { isDeny } from '../decision/decision.ts';
import type { Decision, Deny } from '../decision/decision.ts';
import type { SpiffeId, TrustDomain } from '../identity/spiffe-id.ts';
import type { LedgerRecord } from '../ledger/record.ts';
import type { Question } from '../policy/question.ts';
import type { StoredRecord } from '../ledger/timeline.ts';
import type { Ports } from '../runtime/ports.ts';
import type { Reports } from '../state/reports.ts';
import type { Authority } from '../state/authority.ts';
import type { TaskStates } from '../state/task-states.ts';
import type { StoreFailure } from '../sqlite/store-failure.ts';
import type { BindingEffect } from '../task/binding-violation.ts';
import type { ContextEffect } from '../task/task.ts';
import type { VerificationKeys } from '../token/jwt.ts';
import type { ReplayMemory } from '../token/proof-memory.ts';
import type { SignalServices } from './signals/signal-services.ts';
import type { PublicJwks, TokenKeys } from './signing-keys.ts';
import type { SubjectIssuer } from './subject-issuer.ts';
import type { IssuanceTracer } from './tracer.ts';

/** What the operator decides about the issuer. */
export interface IssuerSettings {
  /** The issuer identifier, an `https:` URL without a trailing slash; `iss` of every token, and where its endpoints are. */
  readonly url: string;
  /** SPIFFE trust domains whose workloads may ask. */
  readonly trustDomains: ReadonlySet<TrustDomain>;
  /** Life of a token. Default 300 s, 10 to 900. */
  readonly tokenSeconds: number;
  /** Life of a task whose intent names no end. Default 900 s. */
  readonly taskSeconds: number;
  /** The longest a task may live, whatever its intent says. Default 86,400 s. */
  readonly maxTaskSeconds: number;
  /** A task that is unused for so long expires. Default `null`: none does. */
  readonly idleSeconds: number | null;
  /**
   * What a change of a named value does, claimed or attested; a name without a rule revokes, save that a newly attested value
   * has the policies asked. Default none.
   */
  readonly contextRules: Readonly<Record<string, ContextEffect>>;
  /** Whose tokens are taken as `subject_token` beside the issuer's own. Default none. */
  readonly subjectIssuers: readonly SubjectIssuer[];
  /** What is done about a token that another workload presents. Default `revoke-token`. */
  readonly bindingEffect: BindingEffect;
  /** Workloads that may introspect every token, such as resource servers; all others their own alone. Default none. */
  readonly introspectors: ReadonlySet<SpiffeId>;
  /** Workloads that may see, suspend, resume and cancel the tasks of others. Default none. */
  readonly operators: ReadonlySet<SpiffeId>;
  /** Workloads that attest named values of the tasks of others, as `operators` do. Default none. */
  readonly contextWriters?: ReadonlySet<SpiffeId>;
}

/** The policies in force, as one value: what is decided and recorded by it belongs together. */
export interface GrantPolicies {
  readonly catalog: Catalog;
  /** Hash of the set. */
  readonly hash: string;
  /** Decides whether one action may be granted. */
  readonly grant: (question: Question) => Decision;
}

/** What the issuer works with, the same for all requests. */
export interface IssuerParts {
  readonly settings: IssuerSettings;
  readonly ports: Pick<Ports, 'nowMs' | 'randomBytes'>;
  /** Writes, and reads what they are decided by; each is awaited, and anything may have happened meanwhile. */
  readonly authority: Authority;
  /** Whether a token is good at this very moment, with what is refused and not yet written. */
  readonly states: Pick<TaskStates, 'of'>;
  /** Writes that decide nothing, which no answer waits for. */
  readonly reports: Pick<Reports, 'revoke'>;
  readonly signingKeys: TokenKeys;
  /** The keys of `settings.subjectIssuers`; they never hold those of the issuer itself. */
  readonly subjectKeys: VerificationKeys;
  /** The transaction tokens that are signed here; absent where none are. */
  readonly transactions?: {
    /** Of the keys they are verified with, which verify nothing else. */
    readonly keys: VerificationKeys;
    readonly jwks: PublicJwks;
    readonly trustDomain: TrustDomain;
  };
  /** Remembers the proofs of the `DPoP` headers sent to the issuer; `null` where no token is bound to such a key. */
  readonly proofs: ReplayMemory | null;
  /** Takes the record of a refusal; `false` where it is not taken, which changes nothing for the client. */
  readonly append: (record: LedgerRecord) => boolean;
  /** The first records of a task in the order of the ledger, also those that are on their way there; at most `limit`. */
  readonly recordsOf: (taskId: string, limit: number) => Promise<readonly StoredRecord[] | StoreFailure>;
  /** The policies in force, or why there are none. */
  readonly policies: () => GrantPolicies | Deny;
  readonly tracer: IssuanceTracer;
  /** What `POST /signals` works with; where absent there is nothing at that path. */
  readonly signals?: SignalServices;
}

/** What one request is answered with: one configuration and one set of policies, whatever is reloaded meanwhile. */
export interface IssuerServices extends Omit<IssuerParts, 'policies'> {
  readonly policies: GrantPolicies | Deny;
  /**
   * Waits for a further turn of this request among those of all others. To be awaited before each piece of work of about a
   * millisecond, such as a question to the policies: what follows at once is what the turn is charged with.
   */
  readonly nextTurn: () => Promise<void>;
}

/** Hash of the policy set that a request is answered with; `null` where none was in force. */
export const policySetOf = ({ policies }: Pick<IssuerServices, 'policies'>): string | null =>
  isDeny(policies) ? null : policies.hash;

/** One request as the server hands it to an endpoint. */
export interface IssuerRequest {
  /** As it was sent, without a query. */
  readonly path: string;
  readonly body: Uint8Array;
  readonly contentType: string | undefined;
  /** Whether it carries an `authorization` header: a second client authentication. */
  readonly hasAuthorization: boolean;
  readonly traceparent: string | null;
  /** DER of the client's verified certificate. */
  readonly certificate: Uint8Array | undefined;
  /** The values of the `DPoP` header, as received. */
  readonly dpop: readonly string[];
  /** What the path's `{id}` was, on paths that have one. */
  readonly taskId: string;
  /** What the path's `{server}` was, on paths that have one. */
  readonly serverId: string;
}

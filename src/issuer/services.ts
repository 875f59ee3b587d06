import type { Catalog } from '../action/catalog.ts';
import type { Decision, Deny } from '../decision/decision.ts';
import type { TrustDomain } from '../identity/spiffe-id.ts';
import type { LedgerRecord } from '../ledger/record.ts';
import type { Question } from '../policy/question.ts';
import type { Ports } from '../ports.ts';
import type { Store } from '../store/store.ts';
import type { SigningKey } from './signing-key.ts';
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
}

/** What the issuer works with. */
export interface IssuerServices {
  readonly settings: IssuerSettings;
  readonly ports: Pick<Ports, 'nowMs' | 'randomBytes'>;
  readonly store: Store;
  readonly signingKey: SigningKey;
  /** Takes the record of a refusal; `false` where it is not taken, which changes nothing for the client. */
  readonly append: (record: LedgerRecord) => boolean;
  /** The catalog in force, or why there is none. */
  readonly catalog: () => Catalog | Deny;
  /** Decides whether one action may be granted. */
  readonly grant: (question: Question) => Decision;
  /** Hash of the policy set in force; `null` where none is. */
  readonly policySet: () => string | null;
  readonly tracer: IssuanceTracer;
}

/** One request as the server hands it to an endpoint. */
export interface IssuerRequest {
  readonly body: Uint8Array;
  readonly contentType: string | undefined;
  /** Whether it carries an `authorization` header: a second client authentication. */
  readonly hasAuthorization: boolean;
  readonly traceparent: string | null;
  /** DER of the client's verified certificate. */
  readonly certificate: Uint8Array | undefined;
  /** What the path's `{id}` was, on paths that have one. */
  readonly taskId: string;
}

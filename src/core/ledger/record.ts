/** Every kind of record of the ledger, and its members. */
import { hash } from 'node:crypto';
import type { CallShape } from '../action/call-shape.ts';
import type { ReasonCode } from '../decision/reasons.ts';
import type { CauseCode } from '../task/cause.ts';
import type { ReuseClass } from '../token/reuse.ts';
import type { JsonValue } from './canonical-json.ts';
import type { CheckpointRecord, EmitterRecord, PrunedRecord } from './log-record.ts';
import type { FindingRecord, OutcomeRecord } from './outcome-record.ts';

/** The inputs and result of a decision, in every record of a decision. */
interface Decided {
  readonly decision: 'allow' | 'deny';
  /** `null` on an allow, and on a refusal that only has an OAuth error. */
  readonly reason: ReasonCode | null;
  readonly policyIds: readonly string[];
  /** Hash of the policy set; `null` if no policies were evaluated. */
  readonly policySet: string | null;
  /** UUIDv7, also in the answer. */
  readonly decisionId: string;
  /** Cause of a denial in words, never a secret, limited by `recordText`; `null` on an allow. */
  readonly detail: string | null;
}

/** The span in which it happened. */
interface Traced {
  readonly traceId: string;
  readonly spanId: string;
}

/** An agent declared an intent, which was granted or refused. */
export interface IntentRecord extends Decided, Traced {
  readonly kind: 'intent';
  /** Milliseconds since the Unix epoch, as are all instants in records. */
  readonly at: number;
  /** `null` if the intent was refused: there is no task. */
  readonly task: string | null;
  readonly agent: string | null;
  /** The subject; `null` if there is no task. */
  readonly subject: string | null;
  /** The parent task; `null` for a root task. */
  readonly parent: string | null;
  readonly purpose: string | null;
  readonly intentHash: string | null;
  /** The `authorization_details`; `null` if they could not be parsed. */
  readonly details: JsonValue;
  /** Values claimed by the agent, unverified; `null` if there is no task. */
  readonly claimed: { readonly [name: string]: string } | null;
  /** Attributes of the subject from its subject token, by catalog name; absent if there are none. */
  readonly subjectAttributes?: { readonly [name: string]: JsonValue };
  /** The deadline of the task. */
  readonly deadline: number | null;
  /** The `error` of the OAuth answer; `null` on a grant. */
  readonly error: string | null;
}

/** A token was issued. */
export interface TokenRecord extends Traced {
  readonly kind: 'token';
  readonly at: number;
  readonly task: string;
  readonly agent: string;
  /** The agent to which it delegates a part of the task, and which alone can exchange it; `null` for a token that resources accept. */
  readonly delegate: string | null;
  /** base64url SHA-256 of the `jti`. */
  readonly jtiDigest: string;
  readonly audience: string;
  readonly expires: number;
  /** Thumbprint of the token's binding: `x5t#S256` or `jkt`. */
  readonly binding: string;
}

/** What enforcing would have answered to an observed call. */
export type WouldBe = {
  readonly decision: 'allow' | 'deny';
  /** `null` on an allow. */
  readonly reason: ReasonCode | null;
  /** The cause, as of a denial. */
  readonly detail: string | null;
  readonly policyIds: readonly string[];
};

/** A `CountedLimit`. Records of earlier versions have no `counts`, and one entry for all counters of a limit. */
export type RecordedLimit = {
  readonly id: string;
  readonly counts?: string;
  readonly left?: number;
  readonly share?: number;
};

/** A call was decided. */
export interface UseRecord extends Decided, Traced {
  readonly kind: 'use';
  readonly at: number;
  /**
   * On a denial that withdrew an allow before it was answered: the id of that allow, whose record precedes this record unless the
   * queue was full. The call was not allowed. Absent otherwise.
   */
  readonly withdraws?: string;
  /**
   * `observe` if an entry of `enforcement.yaml` covers the call. Then `decision` is what was answered, and `would` what enforcing would have
   * answered. Absent if the call was enforced.
   */
  readonly mode?: 'observe';
  /** With `mode`: the id of the entry. */
  readonly entry?: string;
  readonly would?: WouldBe;
  /** With `mode`, if the catalog does not know the call: its names and types. */
  readonly shape?: CallShape;
  readonly task: string | null;
  readonly agent: string | null;
  /** What a refused caller presented, unverified; `null` if the caller is `agent`, or presented nothing. */
  readonly refusedCaller: { readonly address: string | null; readonly id: string } | null;
  /** Generation of the policy set in that process (1 = its first set); `null` if there was none. */
  readonly policyGeneration: number | null;
  /** `task-token`, `external-token` or `workload-identity`; `null` without a verified credential. */
  readonly credential: string | null;
  readonly action: string | null;
  /** The arguments marked `record: true` in the catalog, by name, from `recordedArgs`; absent if none was sent. */
  readonly args?: { readonly [name: string]: JsonValue };
  /** What a call carried beside its arguments, from `recordedCarried`; absent if that was nothing. */
  readonly carried?: { readonly [name: string]: JsonValue };
  /** The counters of limits over all tasks that the use takes from, from `limitsAfter`. Absent if there are none. */
  readonly limits?: readonly RecordedLimit[];
  /** Number of this use of the token, from 1; `null` without a verified token. */
  readonly tokenUse: number | null;
  /** Reuse classes of this use, those that follow from the decision included; empty without a verified token. */
  readonly reuse: readonly ReuseClass[];
  /**
   * Span of the last use at another sidecar, if this is the first use of the token here and that use was known. Absent otherwise.
   */
  readonly usedElsewhere?: { readonly spanId: string; readonly traceId: string };
  readonly jtiDigest: string | null;
  readonly host: string;
  readonly method: string;
  readonly path: string;
  /** Of a use whose record an authority committed with its settlement: origin of the log of the sidecar that decided it. Absent otherwise. */
  readonly origin?: string;
  /** Then also the SPIFFE ID by which that sidecar authenticated, or `unix`. The authority adds it: no sidecar can. */
  readonly by?: string;
}

/**
 * In the log of a sidecar: a link to the record of an allowed use of high risk, which an authority committed with the settlement
 * and keeps in its own ledger.
 */
export interface SettledRecord {
  readonly kind: 'settled';
  /** `at` of that record. */
  readonly at: number;
  readonly task: string | null;
  readonly decisionId: string;
  /** base64url SHA-256 of the canonical JSON of that record as it was sent: without `by`, and without the `left` of its `limits`. */
  readonly digest: string;
}

/** A task ended. */
export interface EndRecord {
  readonly kind: 'end';
  readonly at: number;
  readonly task: string;
  readonly state: 'completed' | 'cancelled' | 'revoked' | 'expired';
  /** Why, as a code. */
  readonly cause: CauseCode;
  /** Why, in words for people. */
  readonly note: string;
  /** Who ended it: SPIFFE ID of the agent or an operator, `operator NAME` by hand, or `remit` for the deadline. */
  readonly by: string;
}

/** An event of a task that neither used nor ended it. */
export interface EventRecord {
  readonly kind: 'event';
  readonly at: number;
  /** `null` if it concerns no single task. */
  readonly task: string | null;
  readonly event:
    | 'suspended'
    | 'resumed'
    | 'context'
    | 'risk'
    | 'token-revoked'
    | 'binding-violation'
    | 'signal'
    | 'refused'
    | 'restored'
    | 'stop-lifted'
    | 'key-revoked'
    | 'receipt'
    | 'order-made'
    | 'order-lifted'
    | 'order-over'
    | 'records-missing';
  /**
   * Why, as a code; `null` for `refused`, whose `details` have the causes, for `receipt`, since the change has a record with its
   * cause, and for `records-missing`.
   */
  readonly cause: CauseCode | null;
  /** Why, in words for people. */
  readonly note: string;
  /** Who caused it: a SPIFFE ID, the issuer of a signal, `operator NAME` by hand, or `remit`. */
  readonly by: string;
  /**
   * Details: the level of a risk, the digest of a `jti`; for `context` the `kind` of writer (`agent`, `writer`, `operator` or
   * `signal`) and the changed values, `claimed` by name or `attested` with their attesters; for `restored` the backup and the
   * ledger positions it contains; for `key-revoked` the id of the key; for `receipt` the change and what became of it at the sidecars;
   * for an order of an operator (`order-made`, `order-lifted`, `order-over`) its id, what it is about and until when it holds;
   * for `records-missing` the `database` and the numbers `from` and `to` of its records that this ledger never got.
   */
  readonly details: { readonly [name: string]: JsonValue };
}

/** A policy set took effect. */
export interface PolicyRecord {
  readonly kind: 'policy';
  readonly at: number;
  readonly task: null;
  /** Hash of the set. */
  readonly policySet: string;
  readonly policies: number;
  readonly actions: number;
  /** Its source, and the key that signed it. */
  readonly origin: PolicyOrigin;
  /** The machine account whose process loaded it. */
  readonly by: string;
  /** Whether its text is kept beside the ledger, by its hash. */
  readonly isTextKept: boolean;
  /** Hashes of the oldest sets, whose texts are deleted now because all texts together exceed the limit. */
  readonly textsGivenUp: readonly string[];
  /**
   * In the first record of a version that records what it deletes, if there are any: hashes of sets whose texts an earlier version kept and
   * that were already missing.
   */
  readonly textsMissing?: readonly string[];
}

/** The source of a policy set: a folder of unsigned files, or a bundle with the keys that signed it. */
export type PolicyOrigin =
  | { readonly kind: 'folder'; readonly folder: string }
  | {
      readonly kind: 'bundle';
      readonly from: string;
      readonly name: string;
      /** The keys that signed it, by `kid` or thumbprint. */
      readonly signers: readonly string[];
      readonly version: string;
      readonly serial: number;
      /** Milliseconds since the Unix epoch. */
      readonly issuedAt: number;
    };

/** A ledger entry. Digests replace secrets; no record contains a token, a key or a header value. */
export type LedgerRecord =
  | IntentRecord
  | TokenRecord
  | UseRecord
  | SettledRecord
  | EndRecord
  | EventRecord
  | OutcomeRecord
  | FindingRecord
  | PolicyRecord
  | CheckpointRecord
  | PrunedRecord
  | EmitterRecord;

/** Longest caller-chosen text in a record, in UTF-16 code units. */
const MAX_TEXT = 2_048;

/**
 * Makes outside text fit for a record: well-formed, and if it exceeds 2,048 code units truncated, with the digest of the whole appended.
 */
export function recordText(text: string): string {
  if (text.length <= MAX_TEXT) return text.toWellFormed();
  const digest = hash('sha256', text.toWellFormed(), 'base64url');
  return `${text.slice(0, MAX_TEXT).toWellFormed()}… sha-256:${digest}`;
}

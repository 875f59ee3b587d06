import { hash } from 'node:crypto';
import type { ReasonCode } from '../decision/reasons.ts';
import type { CauseCode } from '../task/cause.ts';
import type { ReuseClass } from '../token/reuse.ts';
import type { JsonValue } from './canonical-json.ts';

/** What a decision came from, carried by every record of one. */
interface Decided {
  readonly decision: 'allow' | 'deny';
  /** `null` on an allow, and on a refusal that has an OAuth error alone. */
  readonly reason: ReasonCode | null;
  readonly policyIds: readonly string[];
  /** Hash of the policy set that was asked; `null` where none was. */
  readonly policySet: string | null;
  /** UUIDv7, which the answer named too. */
  readonly decisionId: string;
  /** The cause of a denial in words, never a secret, at most as long as `recordText` makes it; `null` on an allow. */
  readonly detail: string | null;
}

/** The span in which it happened. */
interface Traced {
  readonly traceId: string;
  readonly spanId: string;
}

/** An agent declared what it is about to do, and was granted it or not. */
export interface IntentRecord extends Decided, Traced {
  readonly kind: 'intent';
  /** Milliseconds since the Unix epoch, as every instant of a record. */
  readonly at: number;
  /** `null` where the intent was refused: no task came of it. */
  readonly task: string | null;
  readonly agent: string | null;
  /** On whose behalf; `null` where no task came of it. */
  readonly subject: string | null;
  /** The task it is a part of; `null` for a task of its own. */
  readonly parent: string | null;
  readonly purpose: string | null;
  readonly intentHash: string | null;
  /** The `authorization_details`; `null` where they could not be read. */
  readonly details: JsonValue;
  /** What the agent said of itself by name, which nobody has checked; `null` where no task came of it. */
  readonly claimed: { readonly [name: string]: string } | null;
  /** What the issuer of the subject token said of the subject, by the names of the catalog; absent where that is nothing. */
  readonly subjectAttributes?: { readonly [name: string]: JsonValue };
  /** The end of the task at the latest. */
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
  /** base64url SHA-256 of the `jti`. */
  readonly jtiDigest: string;
  readonly audience: string;
  readonly expires: number;
  /** What the token is bound to: `x5t#S256` or `jkt`. */
  readonly binding: string;
}

/** A call was decided. */
export interface UseRecord extends Decided, Traced {
  readonly kind: 'use';
  readonly at: number;
  /**
   * Of a denial that took back an allow before it was answered: id of that allow, whose record stands before this one where there
   * was room for it. The call was never let through. Absent for every other use.
   */
  readonly withdraws?: string;
  readonly task: string | null;
  readonly agent: string | null;
  /** What a caller that was refused showed of itself, which nobody vouches for; `null` where the caller is `agent`, or showed nothing. */
  readonly refusedCaller: { readonly address: string | null; readonly id: string } | null;
  /** Which set in force it was since that process began, from 1; `null` where none was. A new process begins anew. */
  readonly policyGeneration: number | null;
  /** `task-token`, `external-token` or `workload-identity`; `null` without a verified one. */
  readonly credential: string | null;
  readonly action: string | null;
  /** The arguments that the catalog marks `record: true`, by name, as `recordedArgs` gives them; absent where none was sent. */
  readonly args?: { readonly [name: string]: JsonValue };
  /** 1 is the first use of the token, each later one a reuse; `null` without a verified token. */
  readonly tokenUse: number | null;
  /** What this use is against the allowed ones before it, and `after-end`, `other-identity`; empty without a verified token. */
  readonly reuse: readonly ReuseClass[];
  readonly jtiDigest: string | null;
  readonly host: string;
  readonly method: string;
  readonly path: string;
}

/** A task ended. */
export interface EndRecord {
  readonly kind: 'end';
  readonly at: number;
  readonly task: string;
  readonly state: 'completed' | 'cancelled' | 'revoked' | 'expired';
  /** Why, as a machine reads it. */
  readonly cause: CauseCode;
  /** Why, in words for people. */
  readonly note: string;
  /** Who ended it: the SPIFFE ID of the agent or an operator, `operator NAME` by hand, or `remit` for the deadline. */
  readonly by: string;
}

/** Something happened to a task, or was learnt about it, that neither used nor ended it. */
export interface EventRecord {
  readonly kind: 'event';
  readonly at: number;
  /** `null` where it concerns no one task. */
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
    | 'restored';
  /** Why, as a machine reads it; `null` of `refused`, whose `details` name the causes. */
  readonly cause: CauseCode | null;
  /** Why, in words for people. */
  readonly note: string;
  /** Who brought it about: a SPIFFE ID, the issuer of a signal, `operator NAME` by hand, or `remit`. */
  readonly by: string;
  /**
   * What belongs to it: the level of a risk, the digest of a `jti`; of a `context` its `kind` of writer (`agent`, `writer`,
   * `operator` or `signal`) and the changed values, `claimed` by name or `attested` each with who attested it; of `restored` the
   * backup, and where the ledgers stood that it had.
   */
  readonly details: { readonly [name: string]: JsonValue };
}

/** A policy set came into force. */
export interface PolicyRecord {
  readonly kind: 'policy';
  readonly at: number;
  readonly task: null;
  /** Hash of the set. */
  readonly policySet: string;
  readonly policies: number;
  readonly actions: number;
  /** Where it came from, and under which key it was signed. */
  readonly origin: PolicyOrigin;
  /** The account of the machine whose process put it in force. */
  readonly by: string;
  /** Whether its text is kept beside the ledger, under its hash. */
  readonly isTextKept: boolean;
}

/** Where a policy set came from: a folder of files, which nobody signed, or a bundle and the key its signature was verified with. */
export type PolicyOrigin =
  | { readonly kind: 'folder'; readonly folder: string }
  | {
      readonly kind: 'bundle';
      readonly from: string;
      /** `null` of a key without an id. */
      readonly keyId: string | null;
      readonly version: string;
      readonly serial: number;
      /** Milliseconds since the Unix epoch. */
      readonly issuedAt: number;
    };

/** The last record under a checkpoint: when it was made, and what the log still holds. */
export interface CheckpointRecord {
  readonly kind: 'checkpoint';
  readonly at: number;
  readonly task: null;
  /** Records of the log with this one: the size that is signed. */
  readonly size: number;
  /** The first record that is kept from here on; those before were given up by `pruned` records. */
  readonly first: number;
}

/**
 * The oldest records are given up, as the retention says. Signed before their files are deleted: what is missing without such a
 * record was deleted by somebody else.
 */
export interface PrunedRecord {
  readonly kind: 'pruned';
  readonly at: number;
  readonly task: null;
  /** The first record that is given up; those before it were given up earlier. */
  readonly from: number;
  /** The last one. */
  readonly to: number;
  /** Root of the tree over records 1 to `to`, in base64. */
  readonly root: string;
  readonly segments: number;
  /** What their files take of the disk. */
  readonly bytes: number;
  /** When the last of these records was written. */
  readonly newest: number;
  /** Which limits the segments are beyond. */
  readonly rules: readonly ('age' | 'bytes')[];
  /** The limits as they are configured. */
  readonly retainMs: number;
  readonly retainBytes: number;
}

/** How the call of a use went, as Envoy's access log tells. */
export interface OutcomeRecord {
  readonly kind: 'outcome';
  /** When Envoy told it. */
  readonly at: number;
  readonly decisionId: string;
  /** Whether this process made the decision; where not, task, agent, action and decision are what Envoy was told then. */
  readonly known: boolean;
  readonly task: string | null;
  readonly agent: string | null;
  readonly action: string | null;
  readonly decision: 'allow' | 'deny' | null;
  /** What the client was answered; `null` where it was answered nothing. */
  readonly status: number | null;
  /** Envoy's `response_code_details`. */
  readonly details: string;
  /** Envoy's response flags, in the letters of its text log. */
  readonly flags: readonly string[];
  readonly durationMs: number | null;
  readonly upstreamMs: number | null;
  /** Of the bodies. */
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** More than 1 where Envoy repeated the call, which nobody decides again. */
  readonly attempts: number;
  readonly upstreamCluster: string | null;
}

/** Decisions and what Envoy did do not agree. */
export interface FindingRecord {
  readonly kind: 'finding';
  readonly at: number;
  readonly finding: 'bypass' | 'failure-mode-allowed' | 'denied-but-served' | 'outcome-missing' | 'access-log-lost';
  /** How many it stands for: more than 1 in the summary of a flood. */
  readonly count: number;
  readonly decisionId: string | null;
  readonly task: string | null;
  /** Of a call without a decision, the SPIFFE ID in its certificate. */
  readonly agent: string | null;
  readonly action: string | null;
  /** What is known of the call. */
  readonly details: { readonly [name: string]: JsonValue };
}

/** One entry of the ledger. Digests stand for secrets; no record holds a token, a key or a header's value. */
export type LedgerRecord =
  | IntentRecord
  | TokenRecord
  | UseRecord
  | EndRecord
  | EventRecord
  | OutcomeRecord
  | FindingRecord
  | PolicyRecord
  | CheckpointRecord
  | PrunedRecord;

/** Longest text of a record that the caller chose, in UTF-16 code units. */
const MAX_TEXT = 2_048;

/**
 * Text from outside as a record can hold it: well-formed, and where it is longer than 2,048 code units cut and closed with
 * the digest of the whole.
 */
export function recordText(text: string): string {
  if (text.length <= MAX_TEXT) return text.toWellFormed();
  const digest = hash('sha256', text.toWellFormed(), 'base64url');
  return `${text.slice(0, MAX_TEXT).toWellFormed()}… sha-256:${digest}`;
}

/** The digest under which a record names a token: base64url SHA-256 of its `jti`. */
export function jtiDigestOf(tokenId: string): string {
  if (last.tokenId !== tokenId) last = { tokenId, digest: hash('sha256', tokenId, 'base64url') };
  return last.digest;
}

/** A check asks for the digest of its one token more than once. */
let last = { tokenId: '', digest: hash('sha256', '', 'base64url') };

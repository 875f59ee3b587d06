/**
 * The messages of `remit.authority.v1` as `@grpc/proto-loader` gives them with the options of `service.ts`: absent scalars have their
 * defaults, 64-bit integers are numbers, bytes are buffers, an absent message is `null`, `of` names the member of a `oneof`. Meanings and
 * units are in the `.proto`.
 */
export interface Position {
  readonly epoch: string;
  readonly seq: number;
  readonly mark: string;
}

export interface TaskKeyMessage {
  readonly issuer: string;
  readonly id: string;
}

export interface HeldCard {
  readonly key: TaskKeyMessage;
  readonly jti_digests: readonly string[];
  readonly state: string;
  readonly generation: number;
  readonly history_version: number;
}

export interface LogHead {
  readonly origin: string;
  readonly verifier_key: string;
  readonly size: number;
  readonly root: Buffer;
}

export interface Hello {
  readonly version: string;
  readonly instance: string;
  readonly resume: Position | null;
  readonly held: readonly HeldCard[];
  readonly policy_set: string;
  readonly log: LogHead | null;
  readonly orders: boolean;
  /** Sidecars of earlier versions do not say. */
  readonly orders_digest?: string;
}

export interface SidecarStatus {
  readonly policy_set: string;
  readonly policy_generation: number;
  readonly unacknowledged_records: number;
  readonly last_error: string;
}

export interface Ping {
  readonly n: number;
  readonly status: SidecarStatus | null;
}

export interface Ack {
  readonly seq: number;
}

export interface Dropped {
  readonly keys: readonly TaskKeyMessage[];
  readonly n: number;
}

export interface Report {
  readonly id: number;
  readonly touched: readonly { readonly task_id: string; readonly at_ms: number }[];
  readonly stolen: readonly {
    readonly key: TaskKeyMessage;
    readonly jti_digest: string;
    readonly is_of_task: boolean;
    readonly cause: string;
    readonly note: string;
  }[];
  readonly secrets: readonly {
    readonly digest: string;
    readonly kind: string;
    readonly place: string;
    readonly agent: string;
    readonly action: string;
    readonly times: number;
  }[];
  readonly uses: readonly TokenUsesMessage[];
}

export interface TokenUsesMessage {
  readonly jti_digest: string;
  readonly uses: number;
  readonly trace_id: string;
  readonly span_id: string;
  readonly allowed: AllowedUsesMessage | null;
}

export interface AllowedUsesMessage {
  readonly address: string;
  readonly certificate: string;
  readonly servers: readonly string[];
  readonly risks: readonly string[];
  readonly traces: readonly number[];
}

/** Sidecar to authority. */
export type Up =
  | { readonly of: 'hello'; readonly hello: Hello }
  | { readonly of: 'ping'; readonly ping: Ping }
  | { readonly of: 'ack'; readonly ack: Ack }
  | { readonly of: 'dropped'; readonly dropped: Dropped }
  | { readonly of: 'report'; readonly report: Report };

export interface Welcome {
  readonly version: string;
  readonly position: Position;
  readonly lease_ms: number;
  readonly ping_ms: number;
  readonly digest_key: Buffer;
  readonly issuer: string;
  readonly now_ms: number;
  readonly orders: boolean;
}

export interface Changes {
  readonly from: number;
  readonly to: number;
  readonly cards: readonly Card[];
  readonly at: number;
  readonly gone: readonly TaskKeyMessage[];
  readonly mark: string;
}

export interface Fresh {
  readonly n: number;
  readonly position: Position;
  readonly now_ms: number;
}

export interface Keys {
  readonly issuer: string;
  readonly jwks: Buffer;
}

export interface OrdersMessage {
  readonly whole: boolean;
  readonly given: readonly string[];
  readonly lifted: readonly string[];
  readonly continues: boolean;
  readonly in_force: number;
  /** The digest of the orders, sent instead of a whole list that the sidecar already has; otherwise empty or absent. */
  readonly unchanged?: string;
}

/** Authority to sidecar. */
export type Down =
  | { readonly of: 'welcome'; readonly welcome: Welcome }
  | { readonly of: 'changes'; readonly changes: Changes }
  | { readonly of: 'fresh'; readonly fresh: Fresh }
  | { readonly of: 'keys'; readonly keys: Keys }
  | { readonly of: 'policy'; readonly policy: { readonly serial: number; readonly digest: string } }
  | { readonly of: 'resync'; readonly resync: { readonly reason: string } }
  | { readonly of: 'drain'; readonly drain: { readonly within_ms: number } }
  | { readonly of: 'reported'; readonly reported: { readonly id: number; readonly problem: string } }
  | { readonly of: 'orders'; readonly orders: OrdersMessage };

export interface Elsewhere {
  readonly sidecars: number;
  readonly uses: number;
  readonly first_opened_ms: number;
  readonly trace_id: string;
  readonly span_id: string;
  readonly allowed: AllowedUsesMessage | null;
}

export interface TokenMessage {
  readonly jti_digest: string;
  readonly audience: string;
  readonly issued_at_ms: number;
  readonly expires_at_ms: number;
  readonly generation: number;
  readonly revoked_at_ms: number;
  readonly bound_to: string;
  readonly elsewhere: Elsewhere | null;
}

export interface HistoryMessage {
  readonly version: number;
  readonly actions: readonly string[];
  readonly labels: readonly string[];
}

export interface TaskMessage {
  readonly issuer: string;
  readonly id: string;
  readonly agent: string;
  readonly subject: string;
  readonly parent_id: string;
  readonly purpose: string;
  readonly intent_hash: string;
  readonly state: string;
  readonly created_at_ms: number;
  readonly deadline_ms: number;
  readonly idle_ms: number;
  readonly last_used_ms: number;
  readonly ended_at_ms: number;
  readonly cause: string;
  readonly cause_note: string;
  readonly trace_id: string;
  readonly span_id: string;
  readonly details_json: string;
  readonly claimed_json: string;
  readonly subject_attributes_json: string;
  readonly attested_json: string;
  readonly context_rules_json: string;
  readonly risk: string;
  readonly generation: number;
}

export interface Card {
  readonly task: TaskMessage;
  readonly root: string;
  readonly tokens: readonly TokenMessage[];
  readonly history: HistoryMessage | null;
}

export interface TokenKey {
  readonly key: TaskKeyMessage;
  readonly jti_digest: string;
}

export interface OpenRequest {
  readonly instance: string;
  readonly tokens: readonly TokenKey[];
  readonly n: number;
}

export interface OpenReply {
  readonly position: Position | null;
  readonly opened: readonly { readonly card: Card | null }[];
}

export interface UseMessage {
  readonly decision_id: string;
  /** `null` for a use without a task, of which the record is kept, and what it takes from limits is settled. */
  readonly key: TaskKeyMessage | null;
  readonly jti_digest: string;
  readonly generation: number;
  readonly spends: readonly {
    readonly kind: string;
    readonly name: string;
    readonly amount: number;
    readonly limit: number;
    /** This and the following fields belong to the kind `limit`; a field that was not sent is absent or empty. */
    readonly measure?: string;
    readonly who?: string;
    readonly window_ms?: number;
    readonly value?: string;
    readonly effect?: string;
  }[];
  readonly entry: { readonly version: number; readonly action: string; readonly labels: readonly string[] } | null;
  readonly record: Buffer;
  /** The caller, if a limit concerns the use. */
  readonly agent?: string;
  readonly ahead?: readonly number[];
  readonly left?: readonly number[];
  readonly before?: number;
}

export interface SettleRequest {
  readonly instance: string;
  readonly uses: readonly UseMessage[];
}

export interface SettleReply {
  readonly settled: readonly {
    readonly problem: string;
    readonly detail: string;
    readonly card: Card | null;
    readonly position: Position | null;
    /** What the use exceeds, if that is `exhausted`; authorities of earlier versions do not say. */
    readonly budget?: { readonly limit: number; readonly used: number; readonly decimal?: boolean } | null;
    /** The limit that has too little left, if the problem is `limit`. */
    readonly over?: {
      readonly limit: string;
      readonly measure: string;
      readonly max: number;
      readonly used: number;
      readonly ends_ms: number;
    } | null;
    /** Authorities of earlier versions lend nothing. */
    readonly lent?: readonly number[];
    /** Authorities of earlier versions do not say. */
    readonly left?: readonly number[];
  }[];
}

export interface GiveBackReply {
  readonly uses: readonly { readonly problem: string }[];
}

/** A verified DPoP proof. */
export interface ProofMessage {
  readonly thumbprint: string;
  readonly proof_id: string;
  readonly issued_at_s: number;
  readonly agent: string;
}

export interface Records {
  readonly log: LogHead | null;
  readonly from: number;
  readonly leaves: readonly Buffer[];
  readonly checkpoint: string;
  readonly ended: boolean;
}

export interface Appended {
  readonly size: number;
  readonly problem: string;
}

/** Request and answer of each method. */
export interface AuthorityCalls {
  readonly Follow: readonly [Up, Down];
  readonly Open: readonly [OpenRequest, OpenReply];
  readonly Settle: readonly [SettleRequest, SettleReply];
  readonly GiveBack: readonly [SettleRequest, GiveBackReply];
  readonly UseProofs: readonly [{ readonly proofs: readonly ProofMessage[] }, { readonly reasons: readonly string[] }];
  readonly Confirm: readonly [OpenRequest, OpenReply];
  readonly Append: readonly [Records, Appended];
  readonly Bundle: readonly [{ readonly digest: string }, { readonly bytes: Buffer }];
}

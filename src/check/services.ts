import type { HttpCall } from '../action/call.ts';
import type { Deny } from '../decision/decision.ts';
import type { IdentityRules, PeerFacts } from '../identity/caller.ts';
import type { LedgerRecord } from '../ledger/record.ts';
import type { AwaitedUse } from '../outcome/pending-uses.ts';
import type { PolicySet } from '../policy/loading/load.ts';
import type { Ports } from '../runtime/ports.ts';
import type { Reports } from '../state/reports.ts';
import type { Settling } from '../state/settling.ts';
import type { TaskStates } from '../state/task-states.ts';
import type { BindingEffect } from '../task/binding-violation.ts';
import type { SpanSink } from '../telemetry/ended-span.ts';
import type { CheckObserver } from '../telemetry/finished-check.ts';
import type { BindingMode } from '../token/binding.ts';
import type { CredentialKeys } from '../token/credential.ts';
import type { ExternalTokenRules } from '../token/external-token.ts';
import type { ReplayMemory } from '../token/proof-memory.ts';
import type { ProofRules } from '../token/proof.ts';
import type { TokenCache } from '../token/token-cache.ts';
import type { TransactionTokenSigner } from '../token/transaction-token-signer.ts';
import type { TokenUses } from '../token/uses.ts';

/** One call as the proxy described it, parsed once and canonical; nothing after this reads the message again. */
export interface CheckFacts {
  readonly peer: PeerFacts;
  readonly call: HttpCall;
  readonly trace: CallTrace;
  /** IP address of the other end of the connection. */
  readonly sourceAddress: string | null;
  /** Its port. */
  readonly sourcePort: number | null;
}

/** The trace contexts that arrive with a call, each a W3C `traceparent` or `null`. */
export interface CallTrace {
  /** From the gRPC metadata: the proxy's own span of this check. */
  readonly parent: string | null;
  /** From the call's headers: the application's word. */
  readonly application: string | null;
}

/** How long a check may take and whether anybody still waits for it. */
export interface CheckCall {
  /** On the monotonic clock; `Infinity` where the proxy named none. */
  readonly deadlineMs: number;
  readonly signal: Pick<AbortSignal, 'aborted'>;
  /** The trace context of the gRPC call, as sent. */
  readonly traceparent: string | null;
}

/** What a check works with. */
export interface CheckServices {
  readonly ports: Ports;
  readonly identity: IdentityRules;
  readonly binding: BindingMode;
  /** What is done about a verified token in the hands of another workload. */
  readonly onBindingViolation: BindingEffect;
  readonly maxTokenSeconds: number;
  readonly clockSkewSeconds: number;
  readonly externalTokens: Omit<ExternalTokenRules, 'audiences'>;
  readonly keys: CredentialKeys;
  /** Tokens whose signature was verified. */
  readonly verified: TokenCache;
  readonly proofs: {
    /** What callers know this gateway as; `null` takes the audience of the server that is called. */
    readonly externalUrl: string | null;
    readonly rules: ProofRules;
    readonly memory: ReplayMemory;
  };
  /** The policy set in force at this moment. */
  readonly policies: () => PolicySet | Deny;
  /** What is true of tasks now; its clocks are those of a check. */
  readonly states: Pick<TaskStates, 'clocks' | 'of'>;
  /** Makes uses count that take something from their task. */
  readonly settling: Settling;
  /** The digest that stands for a static secret: `hmac-sha-256:` and base64url, the same after every restart. */
  readonly digestOf: (secret: string) => string;
  /** Writes that decide nothing, apart from what decisions wait for. */
  readonly reports: Pick<Reports, 'seen' | 'revoke'>;
  readonly uses: TokenUses;
  /** Behind a hop, where the connection does not name the agent: whether it may ask now. Absent, all may. */
  readonly admits?: (asking: AskingAgent) => boolean;
  readonly ledger: UseLedger;
  /** Told of each use whose answer the proxy still waits for: what became of it is to come. */
  readonly outcomes: { answered(use: AwaitedUse): void };
  /** Where spans of checks go; `null` where nobody takes them. */
  readonly spans: SpanSink | null;
  /** Told of each check when it is over: metrics and the decision log. */
  readonly onChecked: CheckObserver;
  /** Signs what servers that ask for it are handed; `null` where this process has no key for it. */
  readonly transactionToken: TransactionTokenSigner | null;
  /** Where clients of a server learn about its issuer; `null` where none is known here. */
  readonly resourceMetadataUrl: (serverId: string) => string | null;
}

/** The agent behind a hop. */
export interface AskingAgent {
  /** Whose token it is, where a valid proof by the key of that token came with it; else `null`. */
  readonly proven: string | null;
  /** The identity of the connection; `''` where it has none. */
  readonly hop: string;
}

/** Takes the records of uses: `append` queues a record, `durable` resolves once it is on disk; `false` where it is not recorded. */
export interface UseLedger {
  append(record: LedgerRecord): boolean;
  durable(record: LedgerRecord): Promise<boolean>;
}

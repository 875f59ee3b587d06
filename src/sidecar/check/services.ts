import type { AskingCalls } from './asking-calls.ts';
import type { Deny } from '../../core/decision/decision.ts';
import type { IdentityRules } from '../../core/identity/caller.ts';
import type { EncodedRecord } from '../../core/ledger/encoded-record.ts';
import type { LedgerRecord } from '../../core/ledger/record.ts';
import type { AwaitedUse } from '../outcome/pending-uses.ts';
import type { AnsweredCall } from '../outcome/unsent-calls.ts';
import type { PolicySet } from '../../core/policy/loading/load.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import type { StoreFailure } from '../../core/runtime/store-failure.ts';
import type { Reports } from '../../core/state/reports.ts';
import type { Settling } from '../../core/state/settling.ts';
import type { TaskStates } from '../../core/state/task-states.ts';
import type { UseSharing } from '../../core/state/use-sharing.ts';
import type { BindingEffect } from '../../core/task/binding-violation.ts';
import type { SpanSink } from '../../core/telemetry/spans/ended-span.ts';
import type { CheckObserver } from '../../core/telemetry/finished-check.ts';
import type { LoopWatch } from './loop-watch.ts';
import type { TraceWaits } from './trace/trace-waits.ts';
import type { BindingMode } from '../../core/token/proof/binding.ts';
import type { CredentialKeys } from '../../core/token/credential.ts';
import type { ExternalTokenRules } from '../../core/token/external-token.ts';
import type { ReplayMemory } from '../../core/token/proof/proof-memory.ts';
import type { ProofNonces } from '../../core/token/proof/proof-nonce.ts';
import type { Proof, ProofRules } from '../../core/token/proof/proof.ts';
import type { TokenCache } from '../../core/token/token-cache.ts';
import type { TransactionTokenSigner } from '../../core/token/transaction-token-signer.ts';
import type { TokenUses } from '../../core/token/uses.ts';

/** The services that a check uses. */
export interface CheckServices {
  readonly ports: Ports;
  readonly identity: IdentityRules;
  readonly binding: BindingMode;
  /** What to do about a verified token that another workload presents. */
  readonly onBindingViolation: BindingEffect;
  readonly maxTokenSeconds: number;
  readonly clockSkewSeconds: number;
  readonly externalTokens: Omit<ExternalTokenRules, 'audiences'>;
  readonly keys: CredentialKeys;
  /** Tokens whose signature is verified. */
  readonly verified: TokenCache;
  readonly proofs: {
    /** The URL under which callers know this gateway; `null` uses the audience of the called server. */
    readonly externalUrl: string | null;
    readonly rules: ProofRules;
    readonly memory: ReplayMemory;
    /** Whether another process has seen a proof that `memory` has just used up; absent if each process remembers only its own proofs. */
    readonly usedElsewhere?: ((proof: Proof) => Promise<Deny | null> | null) | undefined;
    /** Nonces that proofs must carry; absent if no nonce is required. */
    readonly nonces?: ProofNonces | undefined;
  };
  /** The policy set in force, or why there is none. */
  readonly policies: () => PolicySet | Deny;
  /**
   * The last set, even if it has expired or is stale: its entries for observing stay in force, so that observed calls are never
   * denied by an outage of policies. It permits nothing. `null` before the first set; absent if sets are not kept.
   */
  readonly lastPolicies?: () => PolicySet | null;
  /** The current state of tasks. Its clocks are the clocks of a check. */
  readonly states: Pick<TaskStates, 'clocks' | 'of' | 'standing' | 'open' | 'orders'>;
  /** Settles uses that take something from their task. */
  readonly settling: Settling;
  /**
   * Set if this process is a sidecar. Its state may lag behind the last commit, so uses of high risk and uses decided by the history are
   * settled too, the former with their record.
   */
  readonly sidecar: SidecarRecords | null;
  /** The digest that represents a static secret: `hmac-sha-256:` and base64url. It stays the same after a restart. */
  readonly digestOf: (secret: string) => string;
  /** Writes for which no decision waits. */
  readonly reports: Pick<Reports, 'seen' | 'revoke'>;
  readonly uses: TokenUses;
  /** The calls that later messages can continue; absent, none can be. */
  readonly asking?: AskingCalls;
  /** Shares the uses of tokens with sidecars; absent if there are no sidecars. */
  readonly sharing?: Pick<UseSharing, 'before' | 'used'> | undefined;
  /** The rate limit of agents behind a hop, if the connection does not name the agent. Absent, agents are not limited. */
  readonly admits?: (asking: AskingAgent) => boolean;
  readonly ledger: UseLedger;
  /** Receives each use whose answer the proxy waits for, so that its outcome can be joined. */
  readonly outcomes: {
    answered(use: AwaitedUse): void;
    /**
     * Receives each answered check, even if the proxy no longer waits, with what to undo once the proxy reports that its call was not sent.
     */
    decided(call: AnsweredCall): void;
  };
  /** Receives the spans of checks; `null` if spans are not exported. */
  readonly spans: SpanSink | null;
  /** Whether spans of checks have the recorded arguments. Default no. */
  readonly spanArguments?: () => boolean;
  /** Receives each finished check, for metrics and the decision log. */
  readonly onChecked: CheckObserver;
  /** Called with how long each part of a check held the event loop. */
  readonly loop?: Pick<LoopWatch, 'held'>;
  /** The subscriptions to traced checks. */
  readonly traces?: Pick<TraceWaits, 'isAwaited' | 'checked'>;
  /** Signs transaction tokens; `null` if this process has no key for them. */
  readonly transactionToken: TransactionTokenSigner | null;
  /** Whether a denial gives a verified caller details that help to correct the call, besides the reason. */
  readonly denialDetails: 'verified' | 'none';
  /** The URL of a server's protected resource metadata, at the port called if it is not the audience's; `null` if none is published. */
  readonly resourceMetadataUrl: (serverId: string, port: number | null) => string | null;
}

/** The agent behind a hop. */
export interface AskingAgent {
  /** The client of the token, if a valid proof by the token's key came with it; else `null`. */
  readonly proven: string | null;
  /** The identity of the connection; `''` if it has none. */
  readonly hop: string;
}

/** The records of a sidecar. */
export interface SidecarRecords {
  /** Origin of its log. */
  readonly origin: string;
  /** Has the record of a use without a task token committed by an authority. A failure leaves it unknown whether it is. */
  readonly keep: (decisionId: string, record: EncodedRecord) => Promise<null | StoreFailure>;
}

/** The ledger of uses. `append` queues a record; `durable` resolves once it is on disk. Both give `false` if it is not recorded. */
export interface UseLedger {
  append(record: LedgerRecord): boolean;
  durable(record: LedgerRecord): Promise<boolean>;
}

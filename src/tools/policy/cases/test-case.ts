import type { TextPlace } from '../../../core/runtime/text-place.ts';
import type { ReasonCode } from '../../../core/decision/reasons.ts';
import type { SpiffeId } from '../../../core/identity/spiffe-id.ts';
import type { AttestedValue } from '../../../core/policy/context-values.ts';
import type { Delegation, StopFacts } from '../../../core/policy/issue-question.ts';
import { noAttributes } from '../../../core/task/subject-attributes.ts';
import type { SubjectAttributes } from '../../../core/task/subject-attributes.ts';
import type { Task, TaskRisk, TaskState } from '../../../core/task/task.ts';
import type { AuthorizationDetail, Constraints } from '../../../core/token/authorization-details.ts';
import { unconstrained } from '../../../core/token/authorization-details.ts';
import type { ReuseClass } from '../../../core/token/reuse.ts';

/** A call as its sender writes it. */
export interface WrittenCall {
  readonly method: string;
  /** `https://host/path?query`, not normalised. */
  readonly url: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** `null` without a body. */
  readonly body: Uint8Array | null;
}

/** An attempt: a full call, or the short form of a call. */
export type Attempt =
  | ({ readonly kind: 'call' } & WrittenCall)
  | { readonly kind: 'mcp'; readonly server: string | null; readonly method: string; readonly params: object }
  | { readonly kind: 'a2a'; readonly server: string | null; readonly method: string; readonly params: object }
  /** `method` is `package.Service/Method`; `message` is protobuf bytes, or JSON, which the catalog can encode. */
  | {
      readonly kind: 'grpc';
      readonly server: string | null;
      readonly method: string;
      readonly message: Uint8Array | { readonly json: object };
    }
  /** A call to a catalog action, built from its entry and the given arguments. */
  | { readonly kind: 'action'; readonly action: string; readonly args: Readonly<Record<string, unknown>> }
  /** A request for a task token; purpose and the rest of the intent are those of the task. */
  | {
      readonly kind: 'issue';
      readonly action: string;
      readonly ttlSeconds: number;
      /** Life of the task, from its declaration to its deadline. */
      readonly taskSeconds: number;
      readonly delegation: Delegation | null;
      readonly stopped: StopFacts | null;
    };

/** The task of a call. */
export interface CaseTask {
  readonly purpose: string;
  /** Granted ids and families; `null` grants exactly the action of the call. */
  readonly actions: readonly string[] | null;
  readonly constraints: Constraints;
  /** The whole grant, instead of `actions` and `constraints`; `null` without. */
  readonly details: readonly AuthorizationDetail[] | null;
  readonly ageSeconds: number;
  readonly state: TaskState;
  readonly risk: TaskRisk;
  /** Values the agent claims. */
  readonly claimed: Task['claimed'];
  /** Attributes of the subject from its subject token. */
  readonly subjectAttributes: SubjectAttributes;
  /** Values that others attest. */
  readonly attested: readonly AttestedValue[];
  /** The subject; `null` is the agent itself. */
  readonly subject: string | null;
}

/** The credential of a call. */
export interface CaseCredential {
  readonly kind: 'task-token' | 'external-token' | 'workload-identity';
  /** `none` is a bearer token of an external issuer. */
  readonly binding: 'certificate' | 'spiffe-id' | 'dpop' | 'none';
  /** `null` is what its issuer sets: of a task token all granted actions, of another token nothing. */
  readonly scope: readonly string[] | null;
  readonly secondsLeft: number;
  readonly uses: number;
  /** `null` is `first` at the first use and `same-trace` later. */
  readonly reuse: readonly ReuseClass[] | null;
}

/** The circumstances of an attempt. */
export interface CaseCircumstances {
  readonly agent: SpiffeId;
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
  readonly task: CaseTask;
  readonly credential: CaseCredential;
  /** What the task was allowed before. */
  readonly history: { readonly actions: readonly string[]; readonly labels: readonly string[] };
  /** What each limit over all tasks had counted before, by the id of the limit; nothing for limits that are not named. */
  readonly limits: ReadonlyMap<string, CountedBefore>;
}

/** What a limit had counted before in its current window, in the counter of the call. */
export interface CountedBefore {
  readonly calls: number;
  /** With `isDecimal` in ten-thousandths, otherwise as it is written. */
  readonly amount: { readonly limit: number; readonly isDecimal?: true };
  /** How many values, or which. */
  readonly distinct: number | readonly string[];
  readonly tasks: number;
  readonly openTasks: number;
}

/** The expected outcome; `null` accepts anything. */
export interface Expectation {
  readonly decision: 'allow' | 'deny';
  readonly reason: ReasonCode | null;
  /** The exact ids of the deciding policies, sorted. */
  readonly policies: readonly string[] | null;
  /** The exact ids of the matching shadow policies, sorted. */
  readonly shadow: readonly string[] | null;
}

/** One case of a suite. */
export interface TestCase extends TextPlace {
  readonly file: string;
  readonly name: string;
  readonly attempt: Attempt;
  readonly circumstances: CaseCircumstances;
  readonly expected: Expectation;
  /** Why it is skipped; `null` if it is not. */
  readonly skip: string | null;
}

/** The default time: 15 January 2026, 12:00 UTC, a Thursday. */
export const DEFAULT_NOW_MS = Date.UTC(2026, 0, 15, 12);

/** The default task: new, active, with a purpose, for exactly the action of the call. */
export const plainTask: CaseTask = Object.freeze({
  purpose: 'test',
  actions: null,
  constraints: unconstrained,
  details: null,
  ageSeconds: 60,
  state: 'active',
  risk: 'low',
  claimed: {},
  subjectAttributes: noAttributes,
  attested: [],
  subject: null,
});

/** The default token: bound to the certificate, used for the first time. */
export const plainCredential: CaseCredential = Object.freeze({
  kind: 'task-token',
  binding: 'certificate',
  scope: null,
  secondsLeft: 240,
  uses: 1,
  reuse: null,
});

/** The default circumstances of an agent. */
export const plainCircumstances = (agent: SpiffeId): CaseCircumstances => ({
  agent,
  nowMs: DEFAULT_NOW_MS,
  task: plainTask,
  credential: plainCredential,
  history: { actions: [], labels: [] },
  limits: new Map(),
});

/** Default lifetimes of a requested token and of its task, as those of the issuer. */
export const DEFAULT_LIVES = { ttlSeconds: 300, taskSeconds: 900 } as const;

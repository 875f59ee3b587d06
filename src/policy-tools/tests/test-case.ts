import type { TextPlace } from '../../action/finding.ts';
import type { ReasonCode } from '../../decision/reasons.ts';
import type { SpiffeId } from '../../identity/spiffe-id.ts';
import type { AttestedValue, Delegation } from '../../policy/question.ts';
import { noAttributes } from '../../task/subject-attributes.ts';
import type { SubjectAttributes } from '../../task/subject-attributes.ts';
import type { Task, TaskRisk, TaskState } from '../../task/task.ts';
import type { AuthorizationDetail, Constraints } from '../../token/authorization-details.ts';
import { unconstrained } from '../../token/authorization-details.ts';
import type { ReuseClass } from '../../token/reuse.ts';

/** A call as its sender writes it. */
export interface WrittenCall {
  readonly method: string;
  /** `https://host/path?query`; nothing in it is normalised. */
  readonly url: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** `null` where none was sent. */
  readonly body: Uint8Array | null;
}

/** What an agent attempts, in full or in a short form that becomes a call. */
export type Attempt =
  | ({ readonly kind: 'call' } & WrittenCall)
  | { readonly kind: 'mcp'; readonly server: string | null; readonly method: string; readonly params: object }
  | { readonly kind: 'a2a'; readonly server: string | null; readonly method: string; readonly params: object }
  /** `method` is `package.Service/Method`; `message` its protobuf bytes, or its JSON form, which the catalog can encode. */
  | {
      readonly kind: 'grpc';
      readonly server: string | null;
      readonly method: string;
      readonly message: Uint8Array | { readonly json: object };
    }
  /** A call to an action of the catalog, made up from its entry and the arguments that matter. */
  | { readonly kind: 'action'; readonly action: string; readonly args: Readonly<Record<string, unknown>> }
  /** Asking for a task token; the purpose and the rest of the intent are those of the task. */
  | {
      readonly kind: 'issue';
      readonly action: string;
      readonly ttlSeconds: number;
      readonly delegation: Delegation | null;
    };

/** The task a call is made in. */
export interface CaseTask {
  readonly purpose: string;
  /** What was granted: ids and families of the catalog; `null` is exactly the action of the call. */
  readonly actions: readonly string[] | null;
  readonly constraints: Constraints;
  /** The whole grant, in place of `actions` and `constraints`; `null` is none. */
  readonly details: readonly AuthorizationDetail[] | null;
  readonly ageSeconds: number;
  readonly state: TaskState;
  readonly risk: TaskRisk;
  /** What the agent says of itself. */
  readonly claimed: Task['claimed'];
  /** What the issuer of the subject token says of the subject. */
  readonly subjectAttributes: SubjectAttributes;
  /** What others vouch for. */
  readonly attested: readonly AttestedValue[];
  /** On whose behalf; `null` is the agent itself. */
  readonly subject: string | null;
}

/** What the call is made with. */
export interface CaseCredential {
  readonly kind: 'task-token' | 'external-token' | 'workload-identity';
  /** `none` is an external token that whoever holds it can use. */
  readonly binding: 'certificate' | 'spiffe-id' | 'dpop' | 'none';
  readonly scope: readonly string[];
  readonly secondsLeft: number;
  readonly uses: number;
  /** `null` is `first` at the first use and `same-trace` later. */
  readonly reuse: readonly ReuseClass[] | null;
}

/** Under which circumstances an agent attempts something. */
export interface CaseCircumstances {
  readonly agent: SpiffeId;
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
  readonly task: CaseTask;
  readonly credential: CaseCredential;
  /** What the task was allowed before. */
  readonly history: { readonly actions: readonly string[]; readonly labels: readonly string[] };
}

/** What must come of it; what is `null` may be anything. */
export interface Expectation {
  readonly decision: 'allow' | 'deny';
  readonly reason: ReasonCode | null;
  /** Exactly the ids of the deciding policies, sorted. */
  readonly policies: readonly string[] | null;
  /** Exactly the ids of the `@shadow` policies that match, sorted. */
  readonly shadow: readonly string[] | null;
}

/** One case of a suite. */
export interface TestCase extends TextPlace {
  readonly file: string;
  readonly name: string;
  readonly attempt: Attempt;
  readonly circumstances: CaseCircumstances;
  readonly expected: Expectation;
  /** Why it is left out; `null` where it is not. */
  readonly skip: string | null;
}

/** 15 January 2026, 12:00 UTC, a Thursday: when everything happens that says no time. */
export const DEFAULT_NOW_MS = Date.UTC(2026, 0, 15, 12);

/** A task as most calls are made in: fresh, active, with a stated purpose, for exactly the action of the call. */
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

/** A task token as most calls carry: bound to the certificate, used for the first time. */
export const plainCredential: CaseCredential = Object.freeze({
  kind: 'task-token',
  binding: 'certificate',
  scope: [],
  secondsLeft: 240,
  uses: 1,
  reuse: null,
});

/** What is assumed of an agent where a case says nothing else. */
export const plainCircumstances = (agent: SpiffeId): CaseCircumstances => ({
  agent,
  nowMs: DEFAULT_NOW_MS,
  task: plainTask,
  credential: plainCredential,
  history: { actions: [], labels: [] },
});

/** Seconds that a token is asked for where a case does not say. */
export const DEFAULT_TTL_SECONDS = 300;

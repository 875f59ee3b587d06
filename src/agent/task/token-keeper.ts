import { repeatedly } from '../../core/runtime/repeatedly.ts';
import type { After } from '../../core/runtime/timers.ts';
import type { IssuerClient, TaskCredential } from './issuer-client.ts';
import type { OwnSvid } from '../run/own-svid.ts';
import { isIssuerProblem, issuerProblem, type IssuerProblem, problemLines } from './issuer-problem.ts';

/** The state of a task, as its keeper knows it. */
export type KeptState = 'active' | 'suspended' | 'ended';

/** What a keeper needs. */
export interface KeeperOptions {
  readonly client: Pick<IssuerClient, 'further' | 'task'>;
  /** The SVID to which tokens are bound. */
  readonly svid: Pick<OwnSvid, 'thumbprint'>;
  readonly nowMs: () => number;
  /** For its own timer. `null`: its owner calls `look` again and again. */
  readonly after: After | null;
  /** Called with each new token before it is used; awaited. */
  readonly onToken: (credential: TaskCredential) => Promise<void>;
  /** Prints a line for the person at the terminal. Never a token. */
  readonly tell: (line: string) => void;
  /** Interval for asking the issuer about the task, in milliseconds; `Infinity`: never. Default 10 s. */
  readonly heartbeatMs?: () => number;
  /** Called each time the state of the task changes. */
  readonly onState?: (taskId: string, state: KeptState) => void;
}

/** Interval for checking certificate and clock. */
const LOOK_MS = 1_000;
/** Default interval for asking the issuer about the task. */
const HEARTBEAT_MS = 10_000;
/** A token this close to its expiry is not given out. */
const MARGIN_MS = 1_000;
/** Fraction of its lifetime after which a token is replaced. */
const SERVED = 2 / 3;
const MAX_PAUSE_MS = 10_000;
/** Shortest interval of replacements because a server refuses the token. Bounds the tokens that such a server can cause. */
const REFUSED_MS = 5_000;

/**
 * Keeps a token of one task fresh: requests a new token after two thirds of its lifetime, after each renewal of the SVID (which
 * re-binds it), and after a resume. The task's deadline never moves: near it tokens get shorter, and at the end there are none.
 *
 * Lifecycle: works from the constructor to `close`, or until the task ends. It looks each second, or when its owner says.
 */
export class TokenKeeper {
  readonly #options: KeeperOptions;
  #held: TaskCredential;
  #generation: number;
  /** Why there is no token now; `null` if there is a token. */
  #without: IssuerProblem | null = null;
  #state: KeptState = 'active';
  #isLast = false;
  #isEnded = false;
  #failures = 0;
  #notBeforeMs = 0;
  #refusedAtMs = -Infinity;
  #heartbeatAtMs: number;
  #renewing: Promise<void> | null = null;
  readonly #stop: (() => Promise<void>) | null;

  constructor(first: { readonly credential: TaskCredential; readonly generation: number }, options: KeeperOptions) {
    this.#options = options;
    this.#held = first.credential;
    this.#generation = first.generation;
    this.#heartbeatAtMs = options.nowMs() + this.#heartbeatMs();
    const { after } = options;
    this.#stop = after === null ? null : this.#lookingEachSecond(after);
  }

  #lookingEachSecond(after: After): () => Promise<void> {
    const onFault = (fault: string): void => this.#options.tell(`the token could not be renewed: ${fault}`);
    return repeatedly(() => this.look(), { everyMs: LOOK_MS, after, onFault });
  }

  /** The current token, bound to the current SVID; waits while it is being replaced. */
  async current(): Promise<TaskCredential | IssuerProblem> {
    if (!this.#isEnded && (this.#hasRunOut() || this.#isUnbound())) await this.#renew();
    if (this.#without !== null && (this.#isEnded || this.#without.error === 'task_suspended' || this.#hasRunOut())) {
      return this.#without;
    }
    return this.#hasRunOut() ? issuerProblem('temporarily_unavailable', 'the token has expired') : this.#held;
  }

  /**
   * A token other than `refused`, which a server has refused although it has not expired, for example because the task was
   * resumed or keys were replaced. Gives the same token within 5 s of the last such replacement.
   */
  async another(refused: TaskCredential): Promise<TaskCredential | IssuerProblem> {
    const nowMs = this.#options.nowMs();
    if (!this.#isEnded && this.#held.token === refused.token && nowMs >= this.#refusedAtMs + REFUSED_MS) {
      this.#refusedAtMs = nowMs;
      await this.#renew();
    }
    return this.current();
  }

  close(): void {
    this.#isEnded = true;
    void this.#stop?.();
  }

  /** Replaces the token if it is time, and asks about the task. Not to be called while an earlier call is under way. */
  async look(): Promise<void> {
    if (this.#isEnded) return;
    if (this.#isUnbound() || this.#isDue()) await this.#renew();
    if (!this.#isEnded && this.#options.nowMs() >= this.#heartbeatAtMs) await this.#heartbeat();
  }

  #heartbeatMs(): number {
    return this.#options.heartbeatMs?.() ?? HEARTBEAT_MS;
  }

  #isDue(): boolean {
    // At the end of the last token the issuer says that the task has ended.
    if (this.#isLast) return this.#hasRunOut();
    const { askedAtMs, expiresAtMs } = this.#held;
    return this.#options.nowMs() >= askedAtMs + (expiresAtMs - askedAtMs) * SERVED;
  }

  #hasRunOut(): boolean {
    return this.#options.nowMs() >= this.#held.expiresAtMs - MARGIN_MS;
  }

  #isUnbound(): boolean {
    const thumbprint = this.#options.svid.thumbprint();
    return thumbprint !== null && thumbprint !== this.#held.boundTo;
  }

  /** Replaces the token. Concurrent callers share one request; a failure is not retried at once. */
  async #renew(): Promise<void> {
    if (this.#isEnded || this.#options.nowMs() < this.#notBeforeMs) return;
    this.#renewing ??= this.#replace().finally(() => (this.#renewing = null));
    await this.#renewing;
  }

  async #replace(): Promise<void> {
    const further = await this.#options.client.further(this.#held.taskId);
    // Closed meanwhile: report nothing any more.
    if (this.#isEnded) return;
    if (isIssuerProblem(further))
      return this.#failed(further.error === 'task_ended' ? await this.#ended(further) : further);
    // A token that expires no later than the previous token ends at the task's deadline, so it is the last.
    this.#isLast = further.expiresAtMs <= this.#held.expiresAtMs + MARGIN_MS && further.boundTo === this.#held.boundTo;
    await this.#options.onToken(further);
    this.#held = further;
    this.#without = null;
    this.#entered('active');
    if (this.#failures > 0) this.#options.tell('the token is renewed again');
    this.#failures = 0;
    this.#notBeforeMs = 0;
  }

  /** The same problem, with the state in which the task has ended, for the listeners. */
  async #ended(problem: IssuerProblem): Promise<IssuerProblem> {
    const task = await this.#options.client.task(this.#held.taskId);
    return isIssuerProblem(task) ? problem : { ...problem, taskState: task.state };
  }

  #failed(problem: IssuerProblem): void {
    this.#without = problem;
    if (problem.error === 'task_ended') this.#entered('ended');
    if (problem.error === 'task_suspended') this.#entered('suspended');
    if (!problem.isTransient) return this.#end(`the command gets no further token: ${problemLines(problem)[0]}`);
    if (this.#failures === 0) {
      for (const line of problemLines(problem)) this.#options.tell(`the token could not be renewed: ${line}`);
    }
    this.#failures += 1;
    this.#notBeforeMs = this.#options.nowMs() + Math.min(LOOK_MS * 2 ** (this.#failures - 1), MAX_PAUSE_MS);
  }

  async #heartbeat(): Promise<void> {
    this.#heartbeatAtMs = this.#options.nowMs() + this.#heartbeatMs();
    const task = await this.#options.client.task(this.#held.taskId);
    // The renewal fails for the same reason and reports it.
    if (this.#isEnded || isIssuerProblem(task)) return;
    if (task.state === 'suspended') return this.#suspended();
    if (task.state !== 'active') {
      const problem = issuerProblem('task_ended', `the task is already ${task.state}`);
      this.#without = { ...problem, taskState: task.state };
      this.#entered('ended');
      return this.#end(`the task is ${task.state}${task.causeNote === null ? '' : `: ${task.causeNote}`}`);
    }
    const isResumed = task.generation !== this.#generation || this.#without?.error === 'task_suspended';
    if (!isResumed) return;
    this.#notBeforeMs = 0;
    await this.#renew();
    // Else it is tried again: until then the held token is of the generation before, and dead.
    if (this.#without === null) this.#generation = task.generation;
  }

  #suspended(): void {
    if (this.#without?.error === 'task_suspended') return;
    this.#without = issuerProblem('task_suspended', 'the task is suspended');
    this.#entered('suspended');
    this.#options.tell('the task is suspended; the command is refused until it is resumed');
  }

  #entered(state: KeptState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#options.onState?.(this.#held.taskId, state);
  }

  #end(line: string): void {
    this.close();
    this.#options.tell(line);
  }
}

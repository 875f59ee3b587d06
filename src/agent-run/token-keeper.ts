import type { After } from '../runtime/timers.ts';
import type { IssuerClient, TaskCredential } from './issuer-client.ts';
import type { OwnSvid } from './own-svid.ts';
import { isIssuerProblem, issuerProblem, type IssuerProblem, problemLines } from './issuer-problem.ts';

/** What a keeper works with. */
export interface KeeperOptions {
  readonly client: Pick<IssuerClient, 'further' | 'task'>;
  /** The SVID that tokens are to be bound to. */
  readonly svid: Pick<OwnSvid, 'thumbprint'>;
  readonly nowMs: () => number;
  readonly after: After;
  /** Told of each new token before anybody else learns of it; the keeper waits for it. */
  readonly onToken: (credential: TaskCredential) => Promise<void>;
  /** Told, a line each, of what the person at the terminal should know. Never of a token. */
  readonly tell: (line: string) => void;
}

/** How often the certificate and the clock are looked at. */
const LOOK_MS = 1_000;
/** How often the issuer is asked how the task stands. */
const HEARTBEAT_MS = 10_000;
/** A token this near its end is not handed out any more. */
const MARGIN_MS = 1_000;
/** Of its life a token serves this part before it is replaced. */
const SERVED = 2 / 3;
const MAX_PAUSE_MS = 10_000;

/**
 * Keeps a token of one task fresh: a new one after two thirds of its life, whenever the SVID is renewed, and
 * after a resume. Each is asked for with the SVID that there is then, which is what re-binds it. The task's deadline
 * is never moved: near it tokens get shorter, and at the end there is none.
 *
 * Lifecycle: keeps from the constructor to `close`; the end of the task, by whomever, ends the keeping too.
 */
export class TokenKeeper {
  readonly #options: KeeperOptions;
  #held: TaskCredential;
  #generation: number;
  /** Why there is no token now; `null` where there is one. */
  #without: IssuerProblem | null = null;
  #isLast = false;
  #isEnded = false;
  #failures = 0;
  #notBeforeMs = 0;
  #heartbeatAtMs: number;
  #renewing: Promise<void> | null = null;
  #stop: () => void;

  constructor(first: { readonly credential: TaskCredential; readonly generation: number }, options: KeeperOptions) {
    this.#options = options;
    this.#held = first.credential;
    this.#generation = first.generation;
    this.#heartbeatAtMs = options.nowMs() + HEARTBEAT_MS;
    this.#stop = options.after(LOOK_MS, () => void this.#look());
  }

  /** The token to use now, bound to the SVID of now; waits while it is replaced. */
  async current(): Promise<TaskCredential | IssuerProblem> {
    if (!this.#isEnded && (this.#hasRunOut() || this.#isUnbound())) await this.#renew();
    if (this.#without !== null && (this.#isEnded || this.#without.error === 'task_suspended' || this.#hasRunOut())) {
      return this.#without;
    }
    return this.#hasRunOut() ? issuerProblem('temporarily_unavailable', 'the token has run out') : this.#held;
  }

  close(): void {
    this.#isEnded = true;
    this.#stop();
  }

  async #look(): Promise<void> {
    if (this.#isUnbound() || this.#isDue()) await this.#renew();
    if (!this.#isEnded && this.#options.nowMs() >= this.#heartbeatAtMs) await this.#heartbeat();
    if (!this.#isEnded) this.#stop = this.#options.after(LOOK_MS, () => void this.#look());
  }

  #isDue(): boolean {
    const { askedAtMs, expiresAtMs } = this.#held;
    return !this.#isLast && this.#options.nowMs() >= askedAtMs + (expiresAtMs - askedAtMs) * SERVED;
  }

  #hasRunOut(): boolean {
    return this.#options.nowMs() >= this.#held.expiresAtMs - MARGIN_MS;
  }

  #isUnbound(): boolean {
    const thumbprint = this.#options.svid.thumbprint();
    return thumbprint !== null && thumbprint !== this.#held.boundTo;
  }

  /** Replaces the token; several that ask at the same time share one request, and a failure is not repeated at once. */
  async #renew(): Promise<void> {
    if (this.#isEnded || this.#options.nowMs() < this.#notBeforeMs) return;
    this.#renewing ??= this.#replace().finally(() => (this.#renewing = null));
    await this.#renewing;
  }

  async #replace(): Promise<void> {
    const further = await this.#options.client.further(this.#held.taskId);
    // Closed meanwhile: nobody is to be told of anything any more.
    if (this.#isEnded) return;
    if (isIssuerProblem(further)) return this.#failed(further);
    // A life that ends no later than the one before ends at the deadline of the task: asking again gives no more.
    this.#isLast = further.expiresAtMs <= this.#held.expiresAtMs + MARGIN_MS && further.boundTo === this.#held.boundTo;
    await this.#options.onToken(further);
    this.#held = further;
    this.#without = null;
    if (this.#failures > 0) this.#options.tell('the token is renewed again');
    this.#failures = 0;
    this.#notBeforeMs = 0;
  }

  #failed(problem: IssuerProblem): void {
    this.#without = problem;
    if (!problem.isTransient) return this.#end(`the command gets no further token: ${problemLines(problem)[0]}`);
    if (this.#failures === 0) {
      for (const line of problemLines(problem)) this.#options.tell(`the token could not be renewed: ${line}`);
    }
    this.#failures += 1;
    this.#notBeforeMs = this.#options.nowMs() + Math.min(LOOK_MS * 2 ** (this.#failures - 1), MAX_PAUSE_MS);
  }

  async #heartbeat(): Promise<void> {
    this.#heartbeatAtMs = this.#options.nowMs() + HEARTBEAT_MS;
    const task = await this.#options.client.task(this.#held.taskId);
    // A failure here is one of the renewal too, which tells it.
    if (this.#isEnded || isIssuerProblem(task)) return;
    if (task.state === 'suspended') return this.#suspended();
    if (task.state !== 'active') {
      this.#without = issuerProblem('task_ended', `the task is already ${task.state}`);
      return this.#end(`the task is ${task.state}${task.causeNote === null ? '' : `: ${task.causeNote}`}`);
    }
    const isResumed = task.generation !== this.#generation || this.#without?.error === 'task_suspended';
    this.#generation = task.generation;
    if (!isResumed) return;
    this.#notBeforeMs = 0;
    await this.#renew();
  }

  #suspended(): void {
    if (this.#without?.error === 'task_suspended') return;
    this.#without = issuerProblem('task_suspended', 'the task is suspended');
    this.#options.tell('the task is suspended; the command is refused until it is resumed');
  }

  #end(line: string): void {
    this.close();
    this.#options.tell(line);
  }
}

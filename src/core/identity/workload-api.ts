import type { Ports } from '../runtime/ports.ts';
import { messageOfFault } from '../runtime/repeatedly.ts';
import { HeldSvid, type HeldSvidOptions } from './held-svid.ts';
import type { Svid, SvidRefusal, SvidSource } from './svid.ts';
import { svidUpdateFrom, type WantedSvid } from './workload-api-response.ts';
import { openX509SvidStream, type Keepalive, type StreamEnd } from './workload-api-stream.ts';

/** What a {@link WorkloadApiSource} needs. */
export interface WorkloadApiOptions extends WantedSvid {
  /** gRPC target of the Workload API, from `workloadApiTargetFrom`. */
  readonly target: string;
  readonly ports: Pick<Ports, 'nowMs' | 'randomBytes'>;
  /** Runs something once after `delayMs`; the returned function cancels it. */
  readonly after: (delayMs: number, run: () => void) => () => void;
  /** How an agent that is connected and says nothing is found. Default: a ping each 330 s, which servers of grpc-go permit. */
  readonly keepalive?: Keepalive;
  /** @see HeldSvidOptions.onProblem */
  readonly onProblem?: HeldSvidOptions['onProblem'];
  /** @see HeldSvidOptions.onRefused */
  readonly onRefused?: HeldSvidOptions['onRefused'];
}

/** First back-off after a failed stream; it doubles with each failure, up to {@link MAX_RETRY_MS}. */
const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 30_000;
/** Longest back-off while the SVID has less than four times as long to live, or has ended: without it this process denies. */
const URGENT_RETRY_MS = 2_000;
/** Longest wait for the first message, and least silence after which a stream that has answered is reopened. */
const ANSWER_MS = 30_000;
/** Longest silence of a stream before it is considered dead: 1 day. */
const MAX_SILENCE_MS = 86_400_000;

/**
 * The SVID from the SPIFFE Workload API, over one stream on which the agent pushes renewals.
 *
 * A failed stream is retried with back-off: 1 s, doubling up to 30 s, less up to half as jitter so that the workloads of a host
 * spread out. Near the end of the SVID, and once it has ended, the back-off is at most a quarter of the remaining life, or 2 s if
 * that is longer: so the process gets a new SVID soon after an absent agent returns. A stream is also reopened when it is silent
 * for three quarters of the SVID's remaining life (30 s to a day), because the agent renews at half of it. Meanwhile, and after
 * an invalid message, the last good SVID serves until it expires. When the agent says that this process has no identity (any
 * more), or not the wanted identity, the SVID is dropped at once.
 *
 * Lifecycle: the constructor opens the stream without waiting; `close` once.
 *
 * @see SPIFFE Workload API sections 4.2 to 4.5 and 5.2.1
 */
export class WorkloadApiSource implements SvidSource {
  readonly #options: WorkloadApiOptions;
  readonly #held: HeldSvid;
  #failures = 0;
  #hasAnswered = false;
  /** When the last SVID ends or ended; `null` if the agent has none for this process. */
  #endsMs: number | null = null;
  #closeStream: () => void = () => undefined;
  #cancelTimer: () => void = () => undefined;

  constructor(options: WorkloadApiOptions) {
    this.#options = options;
    const { after, onProblem, onRefused, ports } = options;
    this.#held = new HeldSvid({ nowMs: ports.nowMs, after, onProblem, onRefused });
    this.#open();
  }

  current(): Svid | null {
    return this.#held.current();
  }

  problem(): string | null {
    return this.#held.problem();
  }

  refusal(): SvidRefusal | null {
    return this.#held.refusal();
  }

  onChange(listener: (svid: Svid) => void): () => void {
    return this.#held.onChange(listener);
  }

  close(): void {
    this.#cancelTimer();
    this.#held.close();
    this.#closeStream();
  }

  #open(): void {
    this.#hasAnswered = false;
    this.#in(ANSWER_MS, () => this.#silent());
    const { keepalive, target } = this.#options;
    const listener = {
      onResponse: (response: unknown): void => this.#take(response),
      onEnd: (end: StreamEnd): void => this.#ended(end),
    };
    this.#closeStream = openX509SvidStream(target, listener, keepalive);
  }

  #take(response: unknown): void {
    this.#hasAnswered = true;
    try {
      this.#takeUpdate(response);
    } catch (error) {
      // The stream stays usable: the next message, or silence, decides.
      this.#held.report(`a message of the workload api was discarded: ${messageOfFault(error)}`);
    }
    this.#in(this.#silenceMs(), () => this.#silent());
  }

  #takeUpdate(response: unknown): void {
    const { hint, id, ports } = this.#options;
    const update = svidUpdateFrom(response, { id, hint, held: this.current()?.id ?? null }, ports.nowMs());
    if (update.kind === 'svid') {
      this.#failures = 0;
      this.#endsMs = update.svid.notAfterMs;
      this.#held.offer(update.svid);
      if (update.problem !== null) this.#held.report(update.problem);
    } else if (update.kind === 'withdrawn') {
      this.#endsMs = null;
      this.#held.withdraw(update.problem);
    } else {
      const problem = `a message of the workload api was discarded: ${update.problem}`;
      this.#held.refuse({ ...update, problem });
    }
  }

  /** How long the stream may stay silent from now. */
  #silenceMs(): number {
    const svid = this.current();
    const leftMs = svid === null ? 0 : svid.notAfterMs - this.#options.ports.nowMs();
    return Math.min(Math.max((leftMs * 3) / 4, ANSWER_MS), MAX_SILENCE_MS);
  }

  #silent(): void {
    this.#closeStream();
    if (this.#hasAnswered) this.#open();
    else this.#ended({ problem: `the workload api gave no answer within ${ANSWER_MS} ms`, isDenied: false });
  }

  #ended({ problem, isDenied }: StreamEnd): void {
    if (isDenied) {
      this.#endsMs = null;
      this.#held.withdraw(problem);
    } else this.#held.report(problem);
    this.#failures += 1;
    this.#in(this.#retryMs(), () => this.#open());
  }

  #retryMs(): number {
    const { nowMs, randomBytes } = this.#options.ports;
    const fraction = Buffer.from(randomBytes(4)).readUInt32BE() / 2 ** 32;
    const leftMs = this.#endsMs === null ? Infinity : this.#endsMs - nowMs();
    const mostMs = Math.min(MAX_RETRY_MS, Math.max(leftMs / 4, URGENT_RETRY_MS));
    return Math.min(FIRST_RETRY_MS * 2 ** (this.#failures - 1), mostMs) * (1 - fraction / 2);
  }

  #in(delayMs: number, run: () => void): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#options.after(delayMs, run);
  }
}

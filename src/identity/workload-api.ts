import type { Ports } from '../runtime/ports.ts';
import { messageOfFault } from '../runtime/repeatedly.ts';
import { HeldSvid } from './held-svid.ts';
import type { Svid, SvidSource } from './svid.ts';
import { svidUpdateFrom, type WantedSvid } from './workload-api-response.ts';
import { openX509SvidStream, type StreamEnd } from './workload-api-stream.ts';

/** What a source of the Workload API works with. */
export interface WorkloadApiOptions extends WantedSvid {
  /** gRPC target of the Workload API, from `workloadApiTargetFrom`. */
  readonly target: string;
  readonly ports: Pick<Ports, 'nowMs' | 'randomBytes'>;
  /** Runs something once, `delayMs` from now; the result takes that back. */
  readonly after: (delayMs: number, run: () => void) => () => void;
  /** Told of a problem when it begins or changes, for a log. Holds nothing secret. */
  readonly onProblem?: (problem: string) => void;
}

/** First wait after a stream that failed; it doubles with each further one, up to {@link MAX_RETRY_MS}. */
const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 30_000;
/** Longest wait for the first message of a stream, and shortest life of a stream that is opened anew without having failed. */
const ANSWER_MS = 30_000;
/** No stream is trusted to be alive for longer than this without a message: 1 day. */
const MAX_SILENCE_MS = 86_400_000;

/**
 * The SVID that the SPIFFE Workload API gives this process, over one stream on which the agent pushes every renewal.
 *
 * A stream that breaks is opened again after 1 s, then after twice as long each time up to 30 s, less up to half by chance
 * so that the workloads of a machine spread. So is one that is silent for three quarters of the time its SVID had left,
 * since the agent renews at half of it. Meanwhile, and after a message that cannot be used, the last good SVID serves until
 * its end. Where the agent says that this process has no identity (any more), or not the one that is wanted, the SVID held is
 * given up at once.
 *
 * Lifecycle: the constructor opens the stream and waits for nothing; `close` once.
 *
 * @see SPIFFE Workload API sections 4.2 to 4.5 and 5.2.1
 */
export class WorkloadApiSource implements SvidSource {
  readonly #options: WorkloadApiOptions;
  readonly #held: HeldSvid;
  #failures = 0;
  #hasAnswered = false;
  #closeStream: () => void = () => undefined;
  #cancelTimer: () => void = () => undefined;

  constructor(options: WorkloadApiOptions) {
    this.#options = options;
    this.#held = new HeldSvid({
      nowMs: options.ports.nowMs,
      ...(options.onProblem === undefined ? {} : { onProblem: options.onProblem }),
    });
    this.#open();
  }

  current(): Svid | null {
    return this.#held.current();
  }

  problem(): string | null {
    return this.#held.problem();
  }

  onChange(listener: (svid: Svid) => void): () => void {
    return this.#held.onChange(listener);
  }

  close(): void {
    this.#cancelTimer();
    this.#closeStream();
  }

  #open(): void {
    this.#hasAnswered = false;
    this.#in(ANSWER_MS, () => this.#silent());
    this.#closeStream = openX509SvidStream(this.#options.target, {
      onResponse: (response) => this.#take(response),
      onEnd: (end) => this.#ended(end),
    });
  }

  #take(response: unknown): void {
    this.#hasAnswered = true;
    try {
      this.#takeUpdate(response);
    } catch (error) {
      // The stream is no worse for it: the next message, or the silence after this one, goes on.
      this.#held.report(`a message of the workload api was discarded: ${messageOfFault(error)}`);
    }
    this.#in(this.#silenceMs(), () => this.#silent());
  }

  #takeUpdate(response: unknown): void {
    const update = svidUpdateFrom(response, this.#options, this.#options.ports.nowMs());
    if (update.kind === 'svid') {
      this.#failures = 0;
      this.#held.take(update.svid);
      if (update.problem !== null) this.#held.report(update.problem);
    } else if (update.kind === 'withdrawn') {
      this.#held.withdraw(update.problem);
    } else {
      this.#held.report(`a message of the workload api was discarded: ${update.problem}`);
    }
  }

  /** How long the stream may say nothing from now on. */
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
    if (isDenied) this.#held.withdraw(problem);
    else this.#held.report(problem);
    this.#failures += 1;
    this.#in(this.#retryMs(), () => this.#open());
  }

  #retryMs(): number {
    const fraction = Buffer.from(this.#options.ports.randomBytes(4)).readUInt32BE() / 2 ** 32;
    return Math.min(FIRST_RETRY_MS * 2 ** (this.#failures - 1), MAX_RETRY_MS) * (1 - fraction / 2);
  }

  #in(delayMs: number, run: () => void): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#options.after(delayMs, run);
  }
}

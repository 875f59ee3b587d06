import type { Gate } from './admin/readiness.ts';
import type { Ports } from '../core/runtime/ports.ts';
import type { After } from '../core/runtime/timers.ts';
import type { Log } from '../core/telemetry/log.ts';
import { isStartProblem } from './start-problem.ts';
import type { StartProblem } from './start-problem.ts';

/** Dependencies of a start that waits. */
export interface WaitsOptions {
  readonly ports: Pick<Ports, 'randomBytes'>;
  readonly after: After;
  readonly log: Log;
  /** Ends the wait. `null`: the start waits for nothing, so that what is missing is its problem. */
  readonly stop: AbortSignal | null;
}

/** Exponential back-off between two attempts: the first pause, and the longest. At random half to all of it is waited. */
const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 5_000;

/**
 * What a start waits for, such as an SVID, a database or a DNS name that does not exist yet. Meanwhile the process is alive and not ready,
 * and names the cause: a restart by a service manager would only take longer.
 */
export class Waits {
  readonly #options: WaitsOptions;
  /** Why the process is not ready while it starts. If the cause has a name, the gate has that name, as in a process that has started. */
  readonly gate: Gate;
  #cause: string = START;
  #problem = STARTING;

  constructor(options: WaitsOptions) {
    this.#options = options;
    const name = (): string => this.#cause;
    this.gate = {
      get name() {
        return name();
      },
      problem: () => this.#problem,
    };
  }

  /** Attempts something again until it succeeds, or fails for a reason that does not pass by itself. */
  async until<T>(attempt: () => Promise<T | StartProblem>): Promise<T | StartProblem> {
    const { log, stop } = this.#options;
    let loggedProblem = '';
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(MAX_PAUSE_MS, pauseMs * 2)) {
      const result = await attempt();
      if (stop === null || !mayPass(result)) return this.#over(result);
      const text = result.problem.replaceAll('\n', '; ');
      this.#cause = result.cause ?? START;
      this.#problem = `waiting: ${text}`;
      const problem = result.cause === undefined ? this.#problem : `waiting: ${result.cause}: ${text}`;
      if (problem !== loggedProblem) log(problem, 'start-waits');
      loggedProblem = problem;
      await this.#pause(pauseMs, stop);
      if (stop.aborted) return { problem: `stopped while ${problem}`, isStopped: true };
    }
  }

  #over<T>(result: T): T {
    this.#cause = START;
    this.#problem = STARTING;
    return result;
  }

  #pause(mostMs: number, stop: AbortSignal): Promise<void> {
    const part = Buffer.from(this.#options.ports.randomBytes(4)).readUInt32BE() / 2 ** 32;
    return new Promise((resolve) => {
      const over = (): void => {
        stop.removeEventListener('abort', over);
        cancel();
        resolve();
      };
      const cancel = this.#options.after((mostMs * (1 + part)) / 2, over);
      stop.addEventListener('abort', over);
      if (stop.aborted) over();
    });
  }
}

const START = 'start';
const STARTING = 'the process is starting';

const mayPass = (result: unknown): result is StartProblem =>
  isStartProblem(result) && 'mayPass' in result && result.mayPass === true;

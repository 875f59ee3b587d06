import { DevProcess } from '../child.ts';
import { until } from '../until.ts';

const READY_MS = 120_000;

/** A `remit serve` in a process of its own, which does not outlive the current process. Lifecycle: `start`; `kill` once. */
export class ServedRemit {
  readonly #process: DevProcess;
  readonly #adminPort: number;

  private constructor(started: DevProcess, adminPort: number) {
    this.#process = started;
    this.#adminPort = adminPort;
  }

  /**
   * Starts it without waiting.
   * @param command program and first arguments that run `remit`
   */
  static start(
    command: readonly string[],
    { file, adminPort }: { readonly file: string; readonly adminPort: number },
  ): ServedRemit {
    const [program = '', ...words] = command;
    return new ServedRemit(new DevProcess(program, [...words, 'serve', '--config', file]), adminPort);
  }

  /** Waits until `/readyz` is 200. Rejects with its last output if it ends before. */
  async ready(name: string): Promise<void> {
    let unmet = 'it does not answer';
    const isReady = async (): Promise<boolean> => {
      if (this.#process.ended) throw new Error(`${name} ended at start: ${this.#process.stderr.slice(-5).join(' | ')}`);
      try {
        const reply = await fetch(`http://127.0.0.1:${this.#adminPort}/readyz`);
        unmet = await reply.text();
        return reply.ok;
      } catch {
        return false;
      }
    };
    await until(isReady, { what: `${name} is ready`, withinMs: READY_MS }).catch((error: unknown) => {
      throw new Error(`${error instanceof Error ? error.message : String(error)} (${unmet.trim()})`, { cause: error });
    });
  }

  async kill(): Promise<void> {
    this.#process.signal('SIGKILL');
    await this.#process.exited;
  }
}

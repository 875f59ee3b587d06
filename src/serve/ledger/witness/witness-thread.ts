import { Worker } from 'node:worker_threads';
import type { Ports } from '../../../core/runtime/ports.ts';
import { after } from '../../../core/runtime/timers.ts';
import { programBeside } from '../../../core/runtime/system/program-beside.ts';
import type { Faults } from '../../../core/telemetry/faults.ts';
import type { Metrics } from '../../../core/telemetry/metrics/metrics.ts';
import type { WitnessThreadInput, WitnessThreadMessage } from './witness-messages.ts';
import type { WitnessState } from './witness-visit.ts';

/** Requests and hashes alone, so the thread needs little memory. */
const LIMITS = { maxYoungGenerationSizeMb: 2 };

/** Longer than the thread gives its last visits. */
const CLOSE_MS = 5_000;

/** What the witnesses of a ledger need. */
export interface WitnessServices {
  readonly ports: Pick<Ports, 'nowMs'>;
  readonly faults: Faults;
  readonly metrics: Metrics;
}

/**
 * Has the checkpoints of a ledger cosigned by its witnesses, in a thread of its own.
 *
 * Lifecycle: made once the log is open; `close` once the log is closed, so that its last checkpoint is cosigned too.
 */
export class Witnesses {
  readonly #worker: Worker;
  readonly #names: readonly string[];
  readonly #services: WitnessServices;
  readonly #closed: Promise<void>;
  /** By witness: since when there has been a checkpoint that it has not cosigned; `null` if there is none. */
  readonly #sinceMs: (number | null)[];
  readonly #contradicts: boolean[];
  #size = 0;

  /** @param input the ledger's folder and the file of cosigned checkpoints */
  constructor(input: WitnessThreadInput, services: WitnessServices) {
    this.#services = services;
    this.#names = input.witnesses.map(({ key }) => key.slice(0, key.indexOf('+')));
    this.#sinceMs = this.#names.map(() => services.ports.nowMs());
    this.#contradicts = this.#names.map(() => false);
    this.#worker = new Worker(programBeside(import.meta.url, 'witness-worker'), {
      workerData: input,
      execArgv: [],
      resourceLimits: LIMITS,
    });
    this.#closed = new Promise((resolve) => {
      this.#worker.on('message', (message: WitnessThreadMessage) => {
        if (message.kind === 'visited') this.#visited(message.index, message.state);
        else if (message.kind === 'file') services.faults.set('ledger witnessed', message.problem);
        else resolve();
      });
      const end = (why: string): void => {
        services.faults.set('ledger witnesses', `nothing is cosigned until a restart: the thread ${why}`);
        resolve();
      };
      this.#worker.once('error', (error) => end(`failed: ${String(error)}`));
      this.#worker.once('exit', () => resolve());
    });
    services.metrics.beforeScrape(() => this.#measure());
  }

  /** The log has a checkpoint of this size. */
  signed(size: number): void {
    this.#size = size;
    const now = this.#services.ports.nowMs();
    for (const index of this.#names.keys()) this.#sinceMs[index] ??= now;
  }

  /** Has the last checkpoint cosigned, for at most 5 seconds, and ends the thread. */
  async close(): Promise<void> {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
    this.#worker.postMessage('close');
    await Promise.race([this.#closed, new Promise<void>((resolve) => void after(CLOSE_MS, resolve))]);
    await this.#worker.terminate();
  }

  #visited(index: number, state: WitnessState): void {
    const name = this.#names[index] ?? '';
    this.#contradicts[index] = state.kind === 'contradicts';
    if (state.kind === 'cosigned')
      this.#sinceMs[index] = state.size >= this.#size ? null : this.#services.ports.nowMs();
    this.#services.faults.set(`ledger witness ${name}`, state.kind === 'cosigned' ? null : state.problem);
  }

  #measure(): void {
    const { ledgerWitnessBehind, ledgerWitnessContradicts } = this.#services.metrics;
    const now = this.#services.ports.nowMs();
    for (const [index, witness] of this.#names.entries()) {
      const sinceMs = this.#sinceMs[index] ?? null;
      ledgerWitnessBehind.of({ witness }).set(sinceMs === null ? 0 : Math.max(0, now - sinceMs) / 1_000);
      ledgerWitnessContradicts.of({ witness }).set(this.#contradicts[index] === true ? 1 : 0);
    }
  }
}

import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DevProcess } from '../../src/dev/child.ts';

/** Options of a benchmark process. */
export interface ProcessOptions {
  /** Text on either stream when it is ready. */
  readonly ready: string | RegExp;
  readonly environment?: Readonly<Record<string, string>>;
  /** File for its standard output, if that is long; `ready` must then be on the other stream. */
  readonly stdoutFile?: string;
  /** Default 60,000 ms. */
  readonly readyWithinMs?: number;
}

/** A running process, and its output when it was ready. */
export interface Started {
  readonly child: DevProcess;
  readonly pid: number;
  readonly said: string;
  /** When it was started, by `performance.now()`. */
  readonly startedMs: number;
}

const POLL_MS = 2;

/**
 * What one run of the benchmark owns: a temporary folder, and processes that do not outlive it. Lifecycle: `open`, then `close`, which ends
 * everything in reverse order. SIGINT and SIGTERM close it and end this process.
 */
export class Stage {
  readonly folder: string;
  readonly #aborted = new AbortController();
  readonly #ends: (() => Promise<unknown>)[] = [];
  #closed: Promise<void> | null = null;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async open(): Promise<Stage> {
    const folder = await mkdtemp(join(tmpdir(), 'remit-bench-'));
    const stage = new Stage(folder);
    stage.onClose(() => rm(folder, { recursive: true, force: true }));
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => void stage.close().finally(() => process.exit(130)));
    }
    return stage;
  }

  /** Aborted when the stage closes, for programs that run to their end. */
  get signal(): AbortSignal {
    return this.#aborted.signal;
  }

  /** Registers work for when the stage closes, before what was registered earlier. */
  onClose(end: () => Promise<unknown>): void {
    this.#ends.push(end);
  }

  /** Starts a program and waits until it is ready. Throws with its last output where it is not. */
  async start(command: readonly string[], options: ProcessOptions): Promise<Started> {
    const { ready, environment = {}, stdoutFile, readyWithinMs = 60_000 } = options;
    // Settings of the user's environment would change the measurement.
    const foreign = Object.keys(process.env).filter((name) => name.startsWith('OTEL_') || name.startsWith('REMIT_'));
    const set = [
      ...foreign.flatMap((name) => ['-u', name]),
      ...Object.entries(environment).map(([name, value]) => `${name}=${value}`),
    ];
    const redirected = stdoutFile === undefined ? [] : ['/bin/sh', '-c', 'exec "$@" >"$0"', stdoutFile];
    // Each of these replaces itself by the next (`exec`), so the process id is that of the program.
    const startedMs = performance.now();
    const child = new DevProcess('/usr/bin/env', [...set, ...redirected, ...command]);
    this.onClose(() => child.end());
    while (performance.now() - startedMs < readyWithinMs) {
      const said = [...child.stdout, ...child.stderr].join('\n');
      const isReady = typeof ready === 'string' ? said.includes(ready) : ready.test(said);
      if (isReady && child.pid !== undefined) return { child, pid: child.pid, said, startedMs };
      if (child.ended || this.signal.aborted) {
        await child.end();
        throw new Error(`\`${command.join(' ')}\` ended: ${[...child.stdout, ...child.stderr].join('\n')}`);
      }
      await delay(POLL_MS);
    }
    throw new Error(`\`${command.join(' ')}\` was not ready: ${child.stderr.slice(-5).join(' | ')}`);
  }

  /** Ends everything. Idempotent: all calls wait for the same end. */
  close(): Promise<void> {
    this.#closed ??= this.#endAll();
    return this.#closed;
  }

  async #endAll(): Promise<void> {
    this.#aborted.abort();
    for (const end of this.#ends.splice(0).reverse()) await end().catch(() => undefined);
  }
}

const MICROSECONDS_PER_TICK = 10_000;

/** Processor time of a process so far with all its threads, microseconds. @see proc_pid_stat(5) */
export function cpuMicroseconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * MICROSECONDS_PER_TICK;
}

/** Resident memory of a process, MiB. @see proc_pid_status(5) */
export function residentMiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

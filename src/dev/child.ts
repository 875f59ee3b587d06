import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

/** Lines of output kept; older lines are dropped. */
const heldLines = 500;

/**
 * Runs its arguments in place (`exec` keeps the process id) with a watcher in the background: `read` returns a line when the
 * parent reports that the child ended, and none when the parent is gone.
 */
const watched = '(read -r _ <&3 || kill -TERM $$) >/dev/null 2>&1 & exec 3<&- "$@"';

/**
 * A child process that does not outlive its parent. Lifecycle: the constructor starts it; `end` ends it and may be called twice.
 * It has its own process group, so Ctrl-C reaches only the parent, which must call `end`. If the parent dies without that, even
 * by SIGKILL, a shell waiting on a pipe sends it SIGTERM. Needs a POSIX `/bin/sh`.
 */
export class DevProcess {
  /** What it wrote on stdout: the last 500 lines, oldest first. */
  readonly stdout: readonly string[];
  /** What it wrote on stderr, or why it could not be started: the last 500 lines, oldest first. */
  readonly stderr: readonly string[];
  /** Resolves when it has ended and all its output was read. */
  readonly exited: Promise<void>;
  readonly #running: ChildProcess;

  constructor(binary: string, args: readonly string[]) {
    this.#running = spawn('/bin/sh', ['-c', watched, 'sh', binary, ...args], {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      detached: true,
    });
    this.stdout = lastLines(this.#running.stdout);
    this.stderr = lastLines(this.#running.stderr);
    this.#running.once('exit', () => dismissWatcher(this.#running));
    this.exited = new Promise((resolve) => {
      this.#running.once('error', () => resolve()).once('close', () => resolve());
    });
  }

  /** Its process id; `undefined` if it could not be started. */
  get pid(): number | undefined {
    return this.#running.pid;
  }

  /** Whether it has ended or was never started. */
  get ended(): boolean {
    return this.pid === undefined || this.#running.exitCode !== null || this.#running.signalCode !== null;
  }

  /** Sends a signal, unless it has ended. */
  signal(signal: NodeJS.Signals): void {
    if (!this.ended) this.#running.kill(signal);
  }

  /** Sends SIGTERM, then SIGKILL after `graceMs`, and waits for the end. */
  async end(graceMs = 5_000): Promise<void> {
    if (this.ended) return;
    this.#running.kill('SIGTERM');
    const killer = setTimeout(() => this.#running.kill('SIGKILL'), graceMs);
    await this.exited;
    clearTimeout(killer);
  }
}

/** Tells the watcher that the child has ended, so that it does not signal another process that reuses its id. */
function dismissWatcher(child: ChildProcess): void {
  const pipe = child.stdio[3];
  if (pipe && 'write' in pipe) pipe.on('error', () => {}).end('ended\n');
}

function lastLines(stream: Readable | null): readonly string[] {
  const lines: string[] = [];
  if (stream === null) return lines;
  createInterface({ input: stream }).on('line', (line) => {
    lines.push(line);
    if (lines.length > heldLines) lines.shift();
  });
  return lines;
}

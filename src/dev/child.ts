import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

/** Lines of output that are held; older ones are dropped. */
const heldLines = 500;

/**
 * Runs its arguments in its own place (`exec`: the process id stays), with a watcher behind: `read` ends with a line when
 * the child has ended and the parent says so, and without one when the parent is gone.
 */
const watched = '(read -r _ <&3 || kill -TERM $$) >/dev/null 2>&1 & exec 3<&- "$@"';

/**
 * A process of another program that does not outlive this one. Lifecycle: the constructor starts it; `end` ends it, and
 * may be called twice. It runs in a process group of its own, so Ctrl-C reaches the parent alone, which is to call `end`.
 * Where the parent dies without it, even by SIGKILL, a shell that waits on a pipe from the parent sends it SIGTERM.
 * Needs a POSIX `/bin/sh`.
 */
export class DevProcess {
  /** What it wrote on stdout: the last 500 lines, oldest first. */
  readonly stdout: readonly string[];
  /** What it wrote on stderr, or why it could not be started: the last 500 lines, oldest first. */
  readonly stderr: readonly string[];
  /** When it ended, whoever ended it, and all that it wrote is here. */
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

  /** Its process id; undefined where it could not be started. */
  get pid(): number | undefined {
    return this.#running.pid;
  }

  /** Whether it has ended, or never began. */
  get ended(): boolean {
    return this.pid === undefined || this.#running.exitCode !== null || this.#running.signalCode !== null;
  }

  /** Sends SIGTERM, then SIGKILL when `graceMs` are over, and waits until it has ended. */
  async end(graceMs = 5_000): Promise<void> {
    if (this.ended) return;
    this.#running.kill('SIGTERM');
    const killer = setTimeout(() => this.#running.kill('SIGKILL'), graceMs);
    await this.exited;
    clearTimeout(killer);
  }
}

/** Tells the watcher that the child has ended, so that it does not signal whoever has its process id by then. */
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

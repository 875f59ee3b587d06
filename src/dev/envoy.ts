import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import type { Readable } from 'node:stream';
import type { HostPort } from './envoy-config.ts';
import type { Problem } from './envoy-binary.ts';

/** What to start and how long to wait. */
export interface EnvoyOptions {
  /** Path of the binary. */
  readonly binary: string;
  /** The configuration for a given folder of this process: its admin socket must be the one handed in. */
  readonly config: (adminSocket: string) => string;
  /** How long Envoy has to become ready; default 20,000 ms. */
  readonly readyWithinMs?: number;
  /** How long Envoy has to end after SIGTERM before it is killed; default 5,000 ms. */
  readonly graceMs?: number;
}

/** Lines of output that are held; older ones are dropped. */
const heldLines = 500;
const pollMs = 50;

/**
 * One Envoy of our own, with its temporary folder. Lifecycle: `start` gives one that accepts connections, or the problem
 * after which nothing is left; `stop` ends it and removes the folder, and may be called twice. It runs in a process group of
 * its own, so Ctrl-C reaches the parent alone, which is to call `stop`. Where the parent dies without it, even by SIGKILL,
 * a shell that waits on a pipe from the parent sends Envoy the SIGTERM.
 */
export class EnvoyProcess {
  /** Where the first listener of the configuration accepts connections. */
  readonly address: HostPort;
  /** Path of the socket of the admin interface. */
  readonly adminSocket: string;
  readonly #running: Running;

  private constructor(running: Running, address: HostPort) {
    this.#running = running;
    this.adminSocket = running.adminSocket;
    this.address = address;
  }

  /** Starts Envoy and waits until it is ready. */
  static async start(options: EnvoyOptions): Promise<EnvoyProcess | Problem> {
    const running = await launch(options);
    const address = await readyAddress(running, options.readyWithinMs ?? 20_000);
    if (!('problem' in address)) return new EnvoyProcess(running, address);
    await end(running);
    return address;
  }

  /** Its process id. */
  get pid(): number | undefined {
    return this.#running.child.pid;
  }

  /** What Envoy wrote on stdout, the access log: its last 500 lines, oldest first. */
  accessLog(): readonly string[] {
    return [...this.#running.stdout];
  }

  /** What Envoy wrote on stderr: its last 500 lines, oldest first. */
  errorLog(): readonly string[] {
    return [...this.#running.stderr];
  }

  /** What the admin interface answers to a GET of `path`. Throws where it cannot be reached. */
  admin(path: string): Promise<{ readonly status: number; readonly body: string }> {
    return get(this.adminSocket, path);
  }

  /** When Envoy ended, whoever ended it. */
  get exited(): Promise<void> {
    return this.#running.exited;
  }

  /** Ends Envoy: SIGTERM, then SIGKILL after the grace period. */
  stop(): Promise<void> {
    return end(this.#running);
  }
}

/** `envoy --mode validate` for `config`: null where Envoy takes it, else what it says. */
export async function envoyConfigProblem(binary: string, config: string): Promise<string | null> {
  const folder = await mkdtemp(join(tmpdir(), 'remit-envoy-'));
  try {
    await writeFile(join(folder, 'envoy.yaml'), config, { mode: 0o600 });
    const child = spawn(binary, ['--mode', 'validate', ...argumentsFor(folder)], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const stderr = lastLines(child.stderr);
    const code = await new Promise<number | null>((resolve) => {
      child.once('error', () => resolve(null)).once('close', resolve);
    });
    return code === 0 && stderr.length === 0 ? null : stderr.join('\n') || `envoy ended with ${code}`;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface Running {
  readonly child: ChildProcess;
  readonly folder: string;
  readonly adminSocket: string;
  readonly stdout: readonly string[];
  readonly stderr: readonly string[];
  readonly exited: Promise<void>;
  readonly graceMs: number;
}

/**
 * Runs its arguments in its own place (`exec`: the process id stays), with a watcher behind: `read` ends with a line when
 * `stop` says that all is well, and without one when the parent is gone.
 */
const watched = '(read -r _ <&3 || kill -TERM $$) >/dev/null 2>&1 & exec 3<&- "$@"';

/**
 * One worker is plenty; hot restart would share memory with other Envoys on this machine; the access log is to be seen now
 * and not in 10 seconds.
 */
const argumentsFor = (folder: string): readonly string[] => [
  '-c',
  join(folder, 'envoy.yaml'),
  '--log-level',
  'warning',
  '--concurrency',
  '1',
  '--disable-hot-restart',
  '--file-flush-interval-msec',
  '100',
];

async function launch({ binary, config, graceMs = 5_000 }: EnvoyOptions): Promise<Running> {
  const folder = await mkdtemp(join(tmpdir(), 'remit-envoy-'));
  const adminSocket = join(folder, 'admin.sock');
  await writeFile(join(folder, 'envoy.yaml'), config(adminSocket), { mode: 0o600 });
  const child = spawn('/bin/sh', ['-c', watched, 'sh', binary, ...argumentsFor(folder)], {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    detached: true,
  });
  const exited = new Promise<void>((resolve) => {
    child.once('error', () => resolve()).once('exit', () => resolve());
  });
  void exited.then(() => dismissWatcher(child));
  const output = { stdout: lastLines(child.stdout), stderr: lastLines(child.stderr) };
  return { child, folder, adminSocket, ...output, exited, graceMs };
}

/** Tells the watcher that Envoy has ended, so that it does not send a signal to whoever has its process id by then. */
function dismissWatcher(child: ChildProcess): void {
  const pipe = child.stdio[3];
  if (pipe && 'write' in pipe) pipe.on('error', () => {}).end('ended\n');
}

async function readyAddress(running: Running, withinMs: number): Promise<HostPort | Problem> {
  for (let waitedMs = 0; waitedMs < withinMs; waitedMs += pollMs) {
    if (hasEnded(running.child)) return { problem: `envoy ended at start: ${running.stderr.slice(-5).join(' | ')}` };
    const ready = await get(running.adminSocket, '/ready').catch(() => null);
    if (ready?.status === 200) return listenerAddress((await get(running.adminSocket, '/listeners?format=json')).body);
    await delay(pollMs);
  }
  return { problem: `envoy was not ready within ${withinMs} ms: ${running.stderr.slice(-5).join(' | ')}` };
}

async function end({ child, exited, graceMs, folder }: Running): Promise<void> {
  if (!hasEnded(child)) {
    child.kill('SIGTERM');
    const killer = setTimeout(() => child.kill('SIGKILL'), graceMs);
    await exited;
    clearTimeout(killer);
  }
  await rm(folder, { recursive: true, force: true });
}

const hasEnded = (child: ChildProcess): boolean =>
  child.pid === undefined || child.exitCode !== null || child.signalCode !== null;

function lastLines(stream: Readable | null): readonly string[] {
  const lines: string[] = [];
  if (stream === null) return lines;
  createInterface({ input: stream }).on('line', (line) => {
    lines.push(line);
    if (lines.length > heldLines) lines.shift();
  });
  return lines;
}

function listenerAddress(body: string): HostPort | Problem {
  const [, host, port] = /"address": "([^"]+)",\s*"port_value": (\d+)/.exec(body) ?? [];
  return host === undefined ? { problem: 'envoy has no listener' } : { host, port: Number(port) };
}

const longestAnswerMs = 2_000;

const get = (socketPath: string, path: string): Promise<{ readonly status: number; readonly body: string }> =>
  new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, timeout: longestAnswerMs }, (response) => {
      const chunks: Buffer[] = [];
      response
        .on('data', (chunk: Buffer) => chunks.push(chunk))
        .on('error', reject)
        .on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }));
    });
    asked.on('timeout', () => asked.destroy(new Error('the admin interface did not answer')));
    asked.on('error', reject).end();
  });

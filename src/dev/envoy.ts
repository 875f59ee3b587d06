import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DevProcess } from './child.ts';
import type { HostPort } from '../tools/init/envoy-config.ts';
import type { BinaryProblem } from './envoy-binary.ts';

/** What to start, and timeouts. */
export interface EnvoyOptions {
  /** Path of the binary. */
  readonly binary: string;
  /** Returns the configuration; it must use the given admin socket. */
  readonly config: (adminSocket: string) => string;
  /** Time for Envoy to become ready, without the time that its admin interface takes to answer; default 20,000 ms. */
  readonly readyWithinMs?: number;
  /** Time for Envoy to end after SIGTERM; default 5,000 ms. */
  readonly graceMs?: number;
}

const pollMs = 50;

/**
 * An Envoy with its temporary folder. Lifecycle: `start` returns a running Envoy, or a problem after which nothing is left;
 * `stop` ends it and removes the folder, and may be called twice. Like every {@link DevProcess} it does not outlive this
 * process.
 */
export class EnvoyProcess {
  /** Address of the first listener. */
  readonly address: HostPort;
  /** Path of the admin socket. */
  readonly adminSocket: string;
  readonly #running: Running;

  private constructor(running: Running, address: HostPort) {
    this.#running = running;
    this.adminSocket = running.adminSocket;
    this.address = address;
  }

  /** Starts Envoy and waits until it is ready. Throws what `config` throws. */
  static async start(options: EnvoyOptions): Promise<EnvoyProcess | BinaryProblem> {
    const running = await launch(options);
    const address = await readyAddress(running, options.readyWithinMs ?? 20_000);
    if (!('problem' in address)) return new EnvoyProcess(running, address);
    await end(running);
    return address;
  }

  /** Its process id. */
  get pid(): number | undefined {
    return this.#running.envoy.pid;
  }

  /** The access log (stdout): the last 500 lines, oldest first. */
  accessLog(): readonly string[] {
    return [...this.#running.envoy.stdout];
  }

  /** The log (stderr): the last 500 lines, oldest first. */
  errorLog(): readonly string[] {
    return [...this.#running.envoy.stderr];
  }

  /** GETs `path` from the admin interface. Throws if it cannot be reached. */
  admin(path: string): Promise<{ readonly status: number; readonly body: string }> {
    return get(this.adminSocket, path);
  }

  /** Resolves when Envoy has ended. */
  get exited(): Promise<void> {
    return this.#running.envoy.exited;
  }

  /** Ends Envoy: SIGTERM, then SIGKILL after the grace period. */
  stop(): Promise<void> {
    return end(this.#running);
  }
}

interface Running {
  readonly envoy: DevProcess;
  readonly folder: string;
  readonly adminSocket: string;
  readonly graceMs: number;
}

/**
 * One worker suffices; hot restart would share memory with other Envoys on this machine; the access log is flushed at once
 * instead of every 10 seconds.
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
  try {
    await writeFile(join(folder, 'envoy.yaml'), config(adminSocket), { mode: 0o600 });
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  return { envoy: new DevProcess(binary, argumentsFor(folder)), folder, adminSocket, graceMs };
}

async function readyAddress(running: Running, withinMs: number): Promise<HostPort | BinaryProblem> {
  for (let waitedMs = 0; waitedMs < withinMs; waitedMs += pollMs) {
    if (running.envoy.ended) {
      await running.envoy.exited;
      return { problem: `envoy ended at start: ${lastWords(running)}` };
    }
    const ready = await get(running.adminSocket, '/ready').catch(() => null);
    if (ready?.status === 200) return listenerAddress((await get(running.adminSocket, '/listeners?format=json')).body);
    await delay(pollMs);
  }
  return { problem: `envoy was not ready within ${withinMs} ms: ${lastWords(running)}` };
}

async function end({ envoy, graceMs, folder }: Running): Promise<void> {
  await envoy.end(graceMs);
  await rm(folder, { recursive: true, force: true });
}

const lastWords = ({ envoy }: Running): string => envoy.stderr.slice(-5).join(' | ');

function listenerAddress(body: string): HostPort | BinaryProblem {
  const [, host, port] = /"address": "([^"]+)",\s*"port_value": (\d+)/.exec(body) ?? [];
  return host === undefined ? { problem: 'envoy has no listener' } : { host, port: Number(port) };
}

const longestAnswerMs = 15_000;

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

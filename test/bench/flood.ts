import { execFile } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { headersOf } from './load.ts';
import type { Load } from './load.ts';
import type { ProcessorShare } from './share.ts';
import type { Stage } from './stage.ts';
import type { Hit } from './vegeta.ts';

/** Rate and duration. */
export interface FloodOptions {
  readonly port: number;
  /** Requests per second. */
  readonly rate: number;
  readonly seconds: number;
  readonly share: ProcessorShare;
}

const CONNECTIONS = 40;
/** As many as Envoy takes on a connection. */
const STREAMS = 100;

let floods = 0;

/**
 * Calls of one agent with one token at a fixed rate, by `h2load`: it takes a fifth of the processor time of `vegeta`, so it can make what is far too much
 * beside what is measured. At most 4,000 calls are under way. The bodies of answers are not kept.
 */
export async function flood(
  stage: Stage,
  load: Load,
  { port, rate, seconds, share }: FloodOptions,
): Promise<readonly Hit[]> {
  const [call] = load.calls;
  if (call === undefined) throw new Error('a load without calls');
  const log = join(stage.folder, `flood-${(floods += 1)}.log`);
  const { Host: host = '', ...headers } = headersOf(load, call);
  const running = promisify(execFile)(
    'h2load',
    [
      '-t1',
      `-c${CONNECTIONS}`,
      `-m${STREAMS}`,
      `-D${seconds}`,
      `--rps=${Math.max(1, Math.round(rate / CONNECTIONS))}`,
      `--log-file=${log}`,
      ...Object.entries({ ':authority': host, ...headers }).flatMap((pair) => ['-H', pair.join(': ')]),
      `http://127.0.0.1:${port}${call.path}`,
    ],
    { signal: stage.signal },
  );
  share.take(running.child.pid);
  await running;
  const lines = (await readFile(log, 'utf8')).trimEnd().split('\n');
  await rm(log);
  return lines.map((line) => {
    const [atUs, status, tookUs] = line.split('\t').map(Number);
    return { atMs: (atUs ?? 0) / 1000, status: status ?? 0, tookMs: (tookUs ?? 0) / 1000, body: '' };
  });
}

import { execFile, spawn } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { headersOf } from './load.ts';
import type { Load, Run } from './load.ts';
import type { Stage } from './stage.ts';
import { latencyOf } from './statistics.ts';

/** Rate and duration. */
export interface VegetaOptions {
  readonly binary: string;
  readonly port: number;
  /** Requests per second. */
  readonly rate: number;
  readonly seconds: number;
  /**
   * Whether calls share connections by HTTP/2, as they can with Envoy. Default no: a thousand concurrent calls are then a thousand
   * connections.
   */
  readonly isHttp2?: boolean;
  /** Bytes of an answer that are kept. Default none. */
  readonly maxBodyBytes?: number;
}

/** A call that was made. */
export interface Hit {
  /** When it was sent, in milliseconds since the Unix epoch. */
  readonly atMs: number;
  /** Time until its answer. */
  readonly tookMs: number;
  /** Status of its answer; 0 without one. */
  readonly status: number;
  /** The kept part of an answer other than 200. */
  readonly body: string;
}

/** Beyond this many waiting calls the rate is no longer held, which the figures then show. */
const MAX_WAITING = 4_096;

let attacks = 0;

/**
 * Calls at a fixed rate, whether or not earlier ones are answered, as from independent callers. Latency counts from when a call was due, so
 * a late generator hides nothing; a call it could not make counts as failed.
 */
export async function vegeta(stage: Stage, load: Load, options: VegetaOptions): Promise<Run> {
  return runOf(await attack(stage, load, options), options);
}

/** The individual calls, in the order in which they were sent. */
export async function attack(stage: Stage, load: Load, options: VegetaOptions): Promise<readonly Hit[]> {
  const { binary, port, rate, seconds, isHttp2 = false, maxBodyBytes = 0 } = options;
  const name = join(stage.folder, `vegeta-${(attacks += 1)}`);
  if (load.body !== undefined) await writeFile(`${name}.body`, load.body);
  const targets = load.calls.map((call) => {
    const headers = Object.entries(headersOf(load, call)).map((pair) => pair.join(': '));
    const body = load.body === undefined ? [] : [`@${name}.body`];
    return [`${load.method} http://127.0.0.1:${port}${call.path}`, ...headers, ...body].join('\n');
  });
  await writeFile(`${name}.targets`, `${targets.join('\n\n')}\n`);
  const how = ['attack', `-rate=${rate}`, `-duration=${seconds}s`, `-max-workers=${MAX_WAITING}`];
  const files = [`-targets=${name}.targets`, `-output=${name}.bin`];
  const limits = [`-max-body=${maxBodyBytes}`, '-timeout=10s', ...(isHttp2 ? ['-h2c'] : [])];
  await promisify(execFile)(binary, [...how, ...limits, ...files], { signal: stage.signal });
  const hits = await hitsIn(stage, binary, `${name}.bin`);
  await rm(`${name}.bin`);
  return hits;
}

async function hitsIn(stage: Stage, binary: string, file: string): Promise<readonly Hit[]> {
  const encoder = spawn(binary, ['encode', '-to=csv', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
    signal: stage.signal,
  });
  const hits: Hit[] = [];
  for await (const line of createInterface({ input: encoder.stdout })) {
    const [timestampNs = '', code, latencyNs, , , , body = ''] = line.split(',', 7);
    const status = Number(code);
    // Milliseconds since the epoch need 41 bits, which leaves a double a tenth of a microsecond.
    hits.push({
      atMs: Number(timestampNs) / 1e6,
      tookMs: Number(latencyNs) / 1e6,
      status,
      body: status === 200 ? '' : body,
    });
  }
  return hits.sort((a, b) => a.atMs - b.atMs);
}

/** The result of calls of which `rate` a second were due for `seconds`. */
export function runOf(
  hits: readonly Hit[],
  { rate, seconds }: { readonly rate: number; readonly seconds: number },
): Run {
  const firstMs = hits[0]?.atMs ?? 0;
  const latencies = hits.map(({ atMs, tookMs }, index) => {
    const lateMs = atMs - firstMs - (index * 1000) / rate;
    return tookMs + Math.max(0, lateMs);
  });
  const endMs = hits.reduce((latest, { atMs, tookMs }) => Math.max(latest, atMs + tookMs), firstMs);
  const failed = hits.filter(({ status }) => status !== 200).length;
  // Vegeta omits the last call where the time is up when it is due.
  const notMade = Math.max(0, rate * seconds - 1 - hits.length);
  return {
    requests: hits.length,
    requestsPerSecond: ((hits.length - failed) * 1000) / (endMs - firstMs),
    failed: failed + notMade,
    cpuUs: null,
    ...latencyOf(latencies),
  };
}

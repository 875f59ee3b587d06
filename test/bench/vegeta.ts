import { execFile, spawn } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { headersOf } from './load.ts';
import type { Load, Run } from './load.ts';
import type { Stage } from './stage.ts';
import { latencyOf } from './statistics.ts';

/** How fast and how long. */
export interface VegetaOptions {
  readonly binary: string;
  readonly port: number;
  /** Requests per second. */
  readonly rate: number;
  readonly seconds: number;
}

/** Beyond this many calls that wait, the rate is not held any more; the figures then say so. */
const MAX_WAITING = 4_096;

let attacks = 0;

/**
 * Calls at a fixed rate, whether the last is answered or not, as callers that know nothing of each other do. The latency
 * counts from when a call was due, so a generator that was late hides nothing; a call it could not make at all has failed.
 */
export async function vegeta(stage: Stage, load: Load, options: VegetaOptions): Promise<Run> {
  const { binary, port, rate, seconds } = options;
  const name = join(stage.folder, `vegeta-${(attacks += 1)}`);
  if (load.body !== undefined) await writeFile(`${name}.body`, load.body);
  const targets = load.calls.map((call) => {
    const headers = Object.entries(headersOf(load, call)).map((pair) => pair.join(': '));
    const body = load.body === undefined ? [] : [`@${name}.body`];
    return [`${load.method} http://127.0.0.1:${port}${call.path}`, ...headers, ...body].join('\n');
  });
  await writeFile(`${name}.targets`, `${targets.join('\n\n')}\n`);
  const attack = ['attack', `-rate=${rate}`, `-duration=${seconds}s`, `-max-workers=${MAX_WAITING}`, '-max-body=0'];
  const files = [`-targets=${name}.targets`, `-output=${name}.bin`];
  await promisify(execFile)(binary, [...attack, '-timeout=10s', ...files], { signal: stage.signal });
  const run = await read(stage, binary, { file: `${name}.bin`, rate, due: rate * seconds });
  await rm(`${name}.bin`);
  return run;
}

async function read(
  stage: Stage,
  binary: string,
  { file, rate, due }: { readonly file: string; readonly rate: number; readonly due: number },
): Promise<Run> {
  const encoder = spawn(binary, ['encode', '-to=csv', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
    signal: stage.signal,
  });
  const hits: { readonly atMs: number; readonly tookMs: number }[] = [];
  let failed = 0;
  for await (const line of createInterface({ input: encoder.stdout })) {
    const [timestampNs = '', code, latencyNs] = line.split(',', 3);
    if (code !== '200') failed += 1;
    // Milliseconds of this epoch need 41 bits, which leaves a double a tenth of a microsecond.
    hits.push({ atMs: Number(timestampNs) / 1e6, tookMs: Number(latencyNs) / 1e6 });
  }
  hits.sort((a, b) => a.atMs - b.atMs);
  const firstMs = hits[0]?.atMs ?? 0;
  const latencies = hits.map(({ atMs, tookMs }, index) => {
    const lateMs = atMs - firstMs - (index * 1000) / rate;
    return tookMs + Math.max(0, lateMs);
  });
  const endMs = hits.reduce((latest, { atMs, tookMs }) => Math.max(latest, atMs + tookMs), firstMs);
  return {
    requests: hits.length,
    requestsPerSecond: ((hits.length - failed) * 1000) / (endMs - firstMs),
    failed: failed + Math.max(0, due - hits.length),
    cpuUs: null,
    ...latencyOf(latencies),
  };
}

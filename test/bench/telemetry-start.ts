import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { remit } from '../e2e/process.ts';
import { Collector } from '../telemetry/collector.ts';
import { median } from './statistics.ts';

/**
 * What a destination for OpenTelemetry costs a process that is idle: wall and processor time from its start until it answers checks,
 * and its resident memory 3 s later. The contenders take turns in one run; medians count. `node test/bench/telemetry-start.ts`, after
 * `npm run build`
 */
const ROUNDS = 7;
const SETTLED_MS = 3_000;
/** Unit of `/proc/PID/stat`. */
const TICKS_PER_SECOND = 100;

interface Cost {
  readonly startMs: number;
  readonly cpuMs: number;
  readonly residentMiB: number;
}

const examples = resolve(import.meta.dirname, '../../cedar-policies');
const collector = await Collector.start();
const contenders: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
  ['no destination', {}],
  ['spans', { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/v1/traces` }],
  ['spans, metrics and logs', { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_METRIC_EXPORT_INTERVAL: '1000' }],
  ['the same over gRPC', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }],
];
const costs = contenders.map((): Cost[] => []);
for (let round = 0; round < ROUNDS; round += 1) {
  for (const [index, [, environment]] of contenders.entries()) costs[index]?.push(await costOf(environment));
}
await collector.close();
process.stdout.write(`${''.padEnd(24)}   ms to ready   ms of processor   MiB resident\n`);
for (const [index, [name]] of contenders.entries()) {
  const column = (of: keyof Cost): string => median((costs[index] ?? []).map((cost) => cost[of])).toFixed(0);
  const figures = [column('startMs').padStart(11), column('cpuMs').padStart(15), column('residentMiB').padStart(12)];
  process.stdout.write(`${[name.padEnd(24), ...figures].join('   ')}\n`);
}

async function costOf(environment: Readonly<Record<string, string>>): Promise<Cost> {
  const folder = await mkdtemp(join(tmpdir(), 'remit-telemetry-'));
  await cp(examples, join(folder, 'policies'), { recursive: true });
  const file = join(folder, 'remit.yaml');
  await writeFile(
    file,
    stringify({
      trustDomains: ['acme.test'],
      extAuthz: { listen: `unix:${folder}/check.sock` },
      admin: { listen: '127.0.0.1:0' },
      policies: 'policies',
      state: 'sqlite:state.db',
    }),
  );
  const beganMs = performance.now();
  const { child, exit, said } = remit(['serve', '--config', file], environment);
  await said('checks on');
  const startMs = performance.now() - beganMs;
  const cpuMs = await processorMs(child.pid);
  await delay(SETTLED_MS);
  const residentMiB = (await residentKiB(child.pid)) / 1024;
  child.kill('SIGTERM');
  await exit;
  await rm(folder, { recursive: true, force: true });
  return { startMs, cpuMs, residentMiB };
}

/** User and system time so far. */
async function processorMs(pid: number | undefined): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? [];
  return ((Number(fields[11]) + Number(fields[12])) * 1_000) / TICKS_PER_SECOND;
}

async function residentKiB(pid: number | undefined): Promise<number> {
  return Number(/VmRSS:\s+(\d+) kB/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]);
}

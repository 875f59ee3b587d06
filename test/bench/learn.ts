import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { UseRecord } from '../../src/core/ledger/record.ts';
import { scratch } from '../builders/scratch.ts';
import { Draw, fleetOf, recordOf } from '../tools/learn/fleet.ts';
import { mustFind } from '../builders/must.ts';
import { observedUse } from '../tools/learn/learning.ts';
import { writeLedger } from './many-records.ts';

/**
 * How long `remit learn` takes for the observed calls of a fleet of 30 agents, and how much memory: the process's peak, its threads included.
 *
 * ```
 * npm run build && node test/bench/learn.ts              # 1,000,000 records
 * node test/bench/learn.ts --hostile --records 1000000   # half of them by an agent that calls a new host, path or tool each time
 * ```
 */
const { values } = parseArgs({
  options: { records: { type: 'string', default: '1000000' }, hostile: { type: 'boolean', default: false } },
});
const count = Number(values.records);
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const main = resolve(import.meta.dirname, '../../dist/main.js');

const DAY_MS = 86_400_000;
const DAYS = 10;
const nowMs = Date.now();
const startMs = nowMs - DAYS * DAY_MS;
const atMs = (n: number): number => startMs + Math.floor((n / count) * DAYS * DAY_MS);

const fleet = fleetOf(1);
const draw = new Draw(7);

function honest(n: number): UseRecord {
  const agent = draw.of(fleet.agents);
  return recordOf(agent.id, draw.of([...agent.habits, ...agent.errands]), { draw, atMs: atMs(n), n });
}

const MEMBERS = 60;

/** A call that no other call is like: its host, its path or its tool, and the names of all its members. */
function hostile(n: number): UseRecord {
  const members = Object.fromEntries(
    Array.from({ length: MEMBERS }, (_, at) => [`m${draw.hex(8)}${at}`, 'string' as const]),
  );
  const agent = 'spiffe://acme.test/ns/agents/sa/hostile';
  const common = { agent, at: atMs(n), decisionId: `hostile-${n}` };
  switch (n % 6) {
    case 0:
      return observedUse({
        ...common,
        host: `h${draw.hex(12)}.evil.test`,
        path: `/${draw.hex(6)}`,
        shape: { protocol: 'http', query: [], members },
      });
    case 2:
      return observedUse({
        ...common,
        host: 'api.evil.test',
        path: `/${Array.from({ length: 12 }, () => draw.hex(20)).join('/')}`,
        shape: { protocol: 'http', query: [], members },
      });
    default:
      return observedUse({
        ...common,
        host: 'mcp.evil.test',
        method: 'POST',
        path: '/mcp',
        shape: { protocol: 'mcp', query: [], rpc: { method: 'tools/call', tool: `t${draw.hex(30)}` }, members },
      });
  }
}

const recordAt = (n: number): UseRecord => (values.hostile && n % 2 === 0 ? hostile(n) : honest(n));

const peakMiB = (pid: number): number => {
  try {
    const peak = /VmHWM:\s+(\d+)/u.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return Number(peak ?? 0) / 1024;
  } catch {
    // It has ended.
    return 0;
  }
};

const POLL_MS = 50;

const { folder, remove } = scratch();
try {
  const ledger = writeLedger(
    join(folder(), 'ledger'),
    { count, recordAt },
    (done) => void (done % 100_000 === 0 && process.stderr.write(`\rwritten: ${done} records`)),
  );
  process.stderr.write('\r');
  const started = performance.now();
  const learning = spawn(
    process.execPath,
    [main, 'learn', '--ledger', ledger, '--out', join(folder(), 'learnt'), '--since', `${DAYS + 1}d`, '--json'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let peak = 0;
  const poll = setInterval(() => (peak = Math.max(peak, peakMiB(mustFind(learning.pid)))), POLL_MS);
  const out = mustFind(learning.stdout).toArray();
  const [code]: unknown[] = await once(learning, 'exit');
  clearInterval(poll);
  const seconds = (performance.now() - started) / 1_000;
  const report: unknown = JSON.parse(Buffer.concat(await out).toString());
  const read = typeof report === 'object' && report !== null && 'read' in report ? JSON.stringify(report.read) : '?';
  if (!JSON.stringify(report).includes(`"uses":${count}`))
    throw new Error(`it did not read all of ${count} records: ${read}`);
  say(
    `${count} records${values.hostile ? ', half of them hostile' : ''}: ${seconds.toFixed(1)} s, ${peak.toFixed(0)} MiB, exit code ${String(code)}; read ${read}`,
  );
} finally {
  remove();
}

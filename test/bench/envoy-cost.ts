import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Document } from 'yaml';
import { openBench } from './bench.ts';
import { authorization, limit, manager, startEnvoy } from './envoy-under-test.ts';
import { reuse } from './loads.ts';
import { allowOf, emptyAllow } from './prepared-allows.ts';
import { RemitUnderTest } from './remit-under-test.ts';
import { cpuMicroseconds, Stage } from './stage.ts';
import { median } from './statistics.ts';
import { wrk } from './wrk.ts';

/**
 * What a checked call costs Envoy, by its processor time: `node test/bench/envoy-cost.ts [--rounds N] [--seconds N] [--only 'NAME;…']`. The
 * asked server does nothing and answers with the bytes of a prepared allow, so that only the answer and the configuration of Envoy differ.
 * The variants take turns; medians count.
 */
interface Variant {
  readonly answer: Buffer;
  /** Whether Envoy sends its access log to the server. Default yes, as shipped. */
  readonly isSilent?: boolean;
  /** What else differs from the shipped configuration. */
  readonly change?: (document: Document) => void;
}

const without =
  (...path: readonly (string | number)[]) =>
  (document: Document): void =>
    void document.deleteIn(path);

const ids = allowOf('ids');
const variants: Readonly<Record<string, Variant>> = {
  'an allow and nothing else': { answer: emptyAllow, isSilent: true },
  'ids, no access log for Remit': { answer: ids, isSilent: true },
  ids: { answer: ids },
  'all metadata': { answer: allowOf('all') },
  'ids, five spans a batch': { answer: ids, change: without('layered_runtime') },
  'ids, no tracing': { answer: ids, change: without(...manager, 'tracing') },
  'ids, no access log in text': { answer: ids, change: without(...manager, 'access_log', 1) },
  'ids, no limit of agents': { answer: ids, change: without(...limit.slice(0, -1)) },
  'ids, bodies not buffered': { answer: ids, change: without(...authorization, 'typed_config', 'with_request_body') },
};

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    only: { type: 'string', default: Object.keys(variants).join(';') },
  },
});
const [rounds, seconds] = [Number(values.rounds), Number(values.seconds)];
const wanted = Object.entries(variants).filter(([name]) => values.only.split(';').includes(name));
const stage = await Stage.open();
try {
  const effort = { rounds, seconds, tasks: 0, streams: [], soakSeconds: 0, roles: [], builds: [] };
  const bench = await openBench(stage, effort, (line) => void process.stderr.write(`${line}\n`));
  const issuer = await RemitUnderTest.start(stage, bench.domain, { name: 'issuer', collectorPort: null });
  const load = await reuse(bench, issuer);
  const running = [];
  for (const [index, [name, { answer, isSilent = false, change }]] of wanted.entries()) {
    const socket = join(stage.folder, `noop-${index}.sock`);
    const server = join(import.meta.dirname, 'noop-own.ts');
    await stage.start([process.execPath, server, socket, answer.toString('base64')], { ready: 'ready' });
    const envoy = await startEnvoy(stage, {
      socket,
      collectorPort: bench.collectorPort,
      tellsOutcomes: !isSilent,
      ...(change === undefined ? {} : { change }),
    });
    if (envoy.pid === undefined) throw new Error('Envoy has ended');
    await wrk(stage, load, { port: envoy.address.port, seconds: 1 });
    const us: number[] = [];
    running.push({ name, bytes: answer.length, pid: envoy.pid, port: envoy.address.port, us });
  }
  for (let round = 0; round < rounds; round += 1) {
    for (const { name, pid, port, us } of round % 2 === 0 ? running : running.toReversed()) {
      const before = cpuMicroseconds(pid);
      const { requests, failed } = await wrk(stage, load, { port, seconds });
      if (failed > 0) throw new Error(`${name}: ${failed} calls failed`);
      us.push((cpuMicroseconds(pid) - before) / requests);
    }
  }
  process.stdout.write(`${''.padEnd(32)}   bytes   Envoy, us a call\n`);
  for (const { name, bytes, us } of running) {
    process.stdout.write(`${name.padEnd(32)}   ${String(bytes).padStart(5)}   ${median(us).toFixed(1).padStart(16)}\n`);
  }
} finally {
  await stage.close();
}

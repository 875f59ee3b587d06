import { parseArgs } from 'node:util';
import { join } from 'node:path';
import { mustFind } from '../builders/must.ts';
import { openBench } from './bench.ts';
import type { Bench } from './bench.ts';
import { opaContenders } from './cost-contenders.ts';
import { startEnvoy } from './envoy-under-test.ts';
import { answerTo } from './load.ts';
import { audiences, reuse } from './loads.ts';
import { RemitUnderTest } from './remit-under-test.ts';
import { policiesWithoutHistory } from './sidecar-under-test.ts';
import { Stage } from './stage.ts';
import { latencyOf, median } from './statistics.ts';
import { attack, runOf } from './vegeta.ts';

/**
 * The first ten seconds after a start, at 1,000 uses a second of 64 tokens that exist: one process, a sidecar and OPA's library.
 * `npm run build && node test/bench/first-seconds.ts [--rounds N] [--only NAME,…] [--checkout FOLDER]`. `--warm N` makes N calls beforehand, one
 * after the other, with `--others` of 64 other tokens; `--flags="…"` replaces the flags of V8.
 */
const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    warm: { type: 'string', default: '0' },
    others: { type: 'boolean', default: false },
    flags: { type: 'string' },
    checkout: { type: 'string' },
    only: { type: 'string', default: 'embedded,sidecar,OPA' },
  },
});
const RATE = 1_000;
const SECONDS = 10;
const say = (line: string): void => void process.stderr.write(`${line}\n`);
const p99s = new Map<string, number[]>();

async function load(
  bench: Bench,
  name: string,
  started: { readonly socket: string; readonly isOpa: boolean },
  issuer: RemitUnderTest,
): Promise<void> {
  const { collectorPort, go, stage } = bench;
  const variant = started.isOpa ? ({ headers: 'text' } as const) : { tellsOutcomes: true };
  const envoy = await startEnvoy(stage, { socket: started.socket, collectorPort, ...variant });
  const calls = await reuse(bench, issuer);
  const { port } = envoy.address;
  const warming = values.others ? await reuse(bench, issuer) : calls;
  for (let n = 0; n < Number(values.warm); n += 1)
    await answerTo(port, warming, mustFind(warming.calls[n % warming.calls.length]));
  const options = { binary: go.vegeta, port, rate: RATE, seconds: SECONDS };
  const hits = await attack(stage, calls, options);
  const run = runOf(hits, options);
  const first = hits[0]?.atMs ?? 0;
  const each = Array.from({ length: SECONDS }, (_, s) =>
    latencyOf(
      hits.filter(({ atMs }) => Math.floor((atMs - first) / 1_000) === s).map(({ tookMs }) => tookMs),
    ).p99Ms.toFixed(0),
  );
  say(
    `${name.padEnd(10)} p50 ${run.p50Ms.toFixed(2)} p99 ${run.p99Ms.toFixed(1)} ms, failed ${run.failed}; p99 of each second: ${each.join(' ')}`,
  );
  p99s.set(name, [...(p99s.get(name) ?? []), run.p99Ms]);
  await envoy.stop();
}

const stage = await Stage.open();
try {
  const bench = await openBench(
    stage,
    { rounds: 1, seconds: SECONDS, tasks: 0, streams: [], roles: [], soakSeconds: 0, builds: [] },
    say,
  );
  const policies = await policiesWithoutHistory(bench, 'policies');
  const only = values.only.split(',');
  for (let round = 0; round < Number(values.rounds); round += 1) {
    const more = {
      collectorPort: null,
      policies,
      ...(values.checkout === undefined ? {} : { checkout: values.checkout }),
      ...(values.flags === undefined ? {} : { flags: values.flags.split(' ') }),
    };
    const listen = join(stage.folder, `authority-${round}.sock`);
    if (only.includes('embedded')) {
      const embedded = await RemitUnderTest.start(stage, bench.domain, { ...more, name: `embedded-${round}` });
      await embedded.isReady();
      await load(bench, 'embedded', { socket: embedded.socket, isOpa: false }, embedded);
      await embedded.end();
    }
    const authority = await RemitUnderTest.start(stage, bench.domain, {
      ...more,
      name: `authority-${round}`,
      authority: {
        listen: [`unix:${listen}`],
        sidecars: [{ id: 'spiffe://acme.test/none', audiences: [audiences.files] }],
      },
    });
    if (only.includes('sidecar')) {
      const sidecar = await RemitUnderTest.start(stage, bench.domain, {
        ...more,
        name: `sidecar-${round}`,
        sidecarOf: `authority:unix:${listen}`,
      });
      await sidecar.isReady();
      await load(bench, 'sidecar', { socket: sidecar.socket, isOpa: false }, authority);
      await sidecar.end();
    }
    if (only.includes('OPA')) {
      const [opa] = opaContenders(bench, authority);
      const running = await mustFind(opa).start(`life-${round}`);
      await load(bench, 'OPA', { socket: running.socket, isOpa: true }, authority);
      await running.end();
    }
    await authority.end();
  }
  for (const [name, all] of p99s) console.log(`${name}: median p99 ${median(all).toFixed(1)} ms`);
} finally {
  await stage.close();
}

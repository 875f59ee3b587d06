import { setTimeout as delay } from 'node:timers/promises';
import { measure } from './bench.ts';
import type { Bench } from './bench.ts';
import type { Contenders } from './contenders.ts';
import { reuse } from './loads.ts';
import { vegeta } from './vegeta.ts';

/** Requests per second. */
export const rates = [1_000, 2_000, 4_000] as const;

/** The scenario of a rate. */
export const atRate = (rate: number): string => `reuse at ${rate}/s`;

/** Time in which a contender that could not keep up finishes its calls in progress. */
const DRAIN_MS = 1_000;
/** The same load before a measurement: each token has been used, and nobody begins after the half minute of the others. */
const BEFORE_SECONDS = 2;

/** Latency at fixed rates through Envoy, which a closed loop would hide. The contenders take turns, round after round. */
export async function measureFixedRates(bench: Bench, contenders: Contenders): Promise<void> {
  const { grpcJs, go, opa, opaMemory, opaPlugin, remit } = contenders;
  const { effort, stage } = bench;
  for (let round = 0; round < effort.rounds; round += 1) {
    for (const rate of rates) {
      for (const { name, pid, port, issuer } of [grpcJs, go, opa, opaMemory, opaPlugin, remit]) {
        const load = await reuse(bench, issuer);
        const attack = { binary: bench.go.vegeta, port, rate };
        const before = await vegeta(stage, load, { ...attack, seconds: BEFORE_SECONDS });
        if (before.failed > 0) await delay(DRAIN_MS);
        const run = await measure(bench, { contender: name, scenario: atRate(rate), pid }, () =>
          vegeta(stage, load, { ...attack, seconds: effort.seconds }),
        );
        if (run.failed > 0) await delay(DRAIN_MS);
      }
    }
  }
}

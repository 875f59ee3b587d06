import { measure } from './bench.ts';
import type { Bench } from './bench.ts';
import type { Contenders } from './contenders.ts';
import { mustBeAllowed } from './load.ts';
import { messages } from './loads.ts';
import { wrk } from './wrk.ts';

/** Bytes of a message; Envoy's bound is 65,536. */
const bodyBytes = [256, 8_192, 65_000] as const;

/** The scenario of a size. */
const withBody = (bytes: number): string => `MCP call, ${bytes} bytes`;

/** The cost of bodies: calls of an MCP tool, whose arguments Remit reads and checks and the others ignore. */
export async function measureBodies(bench: Bench, { grpcJs, go, remit }: Contenders): Promise<void> {
  const { effort, stage } = bench;
  for (let round = 0; round < effort.rounds; round += 1) {
    for (const bytes of bodyBytes) {
      for (const { name, pid, port, issuer } of [grpcJs, go, remit]) {
        const load = await messages(bench, issuer, bytes);
        await mustBeAllowed(port, load);
        await measure(bench, { contender: name, scenario: withBody(bytes), pid }, () =>
          wrk(stage, load, { port, seconds: effort.seconds }),
        );
      }
    }
  }
}

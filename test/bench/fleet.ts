import type { Bench } from './bench.ts';
import { measureFailovers } from './fleet-failovers.ts';
import { measureSidecarReuse } from './fleet-reuse.ts';
import { measureStreams } from './fleet-streams.ts';

/** Many machines: ends over many streams, settled uses and opens; a sidecar beside an embedded process; denials while something fails over. */
export async function measureFleet(bench: Bench): Promise<void> {
  await measureSidecarReuse(bench);
  await measureFailovers(bench);
  await measureStreams(bench, bench.effort.streams);
}

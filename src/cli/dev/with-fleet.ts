import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findEnvoy, isBinaryProblem } from '../../dev/envoy-binary.ts';
import { DevFleet } from '../../dev/fleet/dev-fleet.ts';
import { findPostgres } from '../../dev/postgres/binaries.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { EXIT } from '../command.ts';
import type { CommandIo } from '../command.ts';
import { cacheFolderOf, EXAMPLE_POLICIES } from './domain.ts';

/** This policy reads the history, so every use is settled at an authority. Without it, uses under a lease can be shown. */
const READS_HISTORY = join('policies', 'history.cedar');

/**
 * Runs `play` on a fleet. Cleans up afterwards, even when a signal interrupts it or `play` throws.
 *
 * @param options.postgres folder of the programs of PostgreSQL, or `undefined` to look for them
 * @returns the result of `play`, 1 if it was interrupted, or 2 if the fleet could not be started
 */
export async function withFleet(
  io: CommandIo,
  { postgres, play }: { readonly postgres: string | undefined; readonly play: (fleet: DevFleet) => Promise<number> },
): Promise<number> {
  const path = io.environment['PATH'] ?? '';
  const cacheFolder = cacheFolderOf(io);
  const binaries = await findPostgres({ explicit: postgres ?? null, path, cacheFolder });
  if (isBinaryProblem(binaries)) return problem(io, binaries.problem);
  const explicit = io.environment['ENVOY_BIN'] ?? null;
  const envoy = await findEnvoy({ explicit, path, cacheFolder, progress: io.err });
  if (isBinaryProblem(envoy)) return problem(io, envoy.problem);
  if (envoy.warning !== null) io.err(envoy.warning);
  const interrupted = new AbortController();
  const ended = io.ended().then(() => interrupted.abort());
  const folder = await mkdtemp(join(tmpdir(), 'remit-dev-'));
  try {
    const policies = join(folder, 'policies');
    await cp(EXAMPLE_POLICIES, policies, { recursive: true });
    await rm(join(policies, READS_HISTORY));
    const fleet = await DevFleet.start({
      folder,
      envoy: envoy.path,
      postgres: binaries,
      policies,
      remit: io.command,
      ports: systemPorts,
      signal: interrupted.signal,
      progress: io.err,
    });
    try {
      return await Promise.race([play(fleet), ended.then(() => EXIT.no)]);
    } finally {
      await fleet.stop();
    }
  } catch (error) {
    if (interrupted.signal.aborted) return EXIT.no;
    return problem(io, error instanceof Error ? error.message : String(error));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function problem(io: CommandIo, text: string): number {
  io.err(`remit demo: ${text}`);
  return EXIT.bad;
}

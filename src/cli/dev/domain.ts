import { mkdtemp, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { productFile } from '../../core/runtime/system/product-file.ts';
import { DevDomain } from '../../dev/domain.ts';
import type { DomainOptions } from '../../dev/domain.ts';
import { freePortSource } from '../../dev/free-port-source.ts';
import { findEnvoy, isBinaryProblem } from '../../dev/envoy-binary.ts';
import type { BinaryProblem } from '../../dev/envoy-binary.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { EXIT } from '../command.ts';
import type { CommandIo } from '../command.ts';

/** The example policies shipped with Remit. */
export const EXAMPLE_POLICIES = productFile('cedar-policies');

/** The folder of programs and logs: `REMIT_CACHE`, default `~/.cache/remit`. */
export const cacheFolderOf = ({ environment }: Pick<CommandIo, 'environment'>): string =>
  resolve(environment['REMIT_CACHE'] ?? join(homedir(), '.cache', 'remit'));

/** The options of a domain that its plan decides. */
type Planned = Pick<DomainOptions, 'policies' | 'trustDomain' | 'agents' | 'servers'>;

/** How a play in a domain went. */
export interface DomainPlay {
  readonly exit: number;
  /** Whether the domain stays until a signal ends it. Such a signal does not change `exit`. */
  readonly isKept: boolean;
}

/**
 * Runs `play` in a throw-away trust domain. Cleans up afterwards, even when a signal interrupts it or `play` throws.
 *
 * @returns the exit code of `play`, 1 if a signal interrupted it, or 2 if the domain could not be started
 */
export async function withDomain<Plan extends Planned>(
  io: CommandIo,
  {
    plan,
    play,
    logs = { log: io.err, stdout: io.stdout },
  }: {
    /** Plans the domain; may write to its folder. */
    readonly plan: (folder: string) => Promise<Plan | BinaryProblem>;
    readonly play: (domain: DevDomain, plan: Plan) => Promise<DomainPlay>;
    /** Streams for the log and the decision log of Remit. Default: standard error and standard output. */
    readonly logs?: Pick<DomainOptions, 'log' | 'stdout'>;
  },
): Promise<number> {
  const envoy = await findEnvoy({
    explicit: io.environment['ENVOY_BIN'] ?? null,
    path: io.environment['PATH'] ?? '',
    cacheFolder: cacheFolderOf(io),
    progress: io.err,
  });
  if (isBinaryProblem(envoy)) return problem(io, envoy.problem);
  if (envoy.warning !== null) io.err(envoy.warning);
  const ended = io.ended();
  const folder = await mkdtemp(join(tmpdir(), 'remit-dev-'));
  try {
    const planned = await plan(folder);
    if (isBinaryProblem(planned)) return problem(io, planned.problem);
    const { policies, trustDomain, agents, servers } = planned;
    const port = await freePortSource(Buffer.from(systemPorts.randomBytes(4)).readUInt32BE())();
    const domain = await DevDomain.start({
      folder,
      envoy: envoy.path,
      policies,
      ...(trustDomain === undefined ? {} : { trustDomain }),
      ...(agents === undefined ? {} : { agents }),
      ...(servers === undefined ? {} : { servers }),
      // The issuer publishes the address at which it listens, so that OAuth clients find it.
      settings: { issuer: { listen: `127.0.0.1:${port}`, url: `https://localhost:${port}` } },
      ports: systemPorts,
      environment: io.environment,
      ...logs,
    });
    if (isBinaryProblem(domain)) return problem(io, domain.problem);
    try {
      const interrupted = ended.then((): DomainPlay => ({ exit: EXIT.no, isKept: false }));
      const { exit, isKept } = await Promise.race([play(domain, planned), interrupted]);
      if (isKept) await ended;
      return exit;
    } finally {
      await domain.stop();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function problem(io: CommandIo, text: string): number {
  io.err(`remit: ${text}`);
  return EXIT.bad;
}

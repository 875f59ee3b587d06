import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../core/config/config.ts';
import { statePathOf } from '../core/config/state.ts';
import type { Address } from '../core/config/values.ts';
import { pendingVersion } from '../authority/state/sqlite/migration.ts';
import { stateFormat } from '../authority/state/sqlite/schema.ts';
import { openPostgresState } from '../authority/state/postgres/postgres-state.ts';
import type { Ports } from '../core/runtime/ports.ts';
import { isStoreFailure } from '../core/runtime/store-failure.ts';
import { inspected } from './inspection.ts';
import { missingWorkloadApi } from './keys/no-svid.ts';
import { otelEnvironmentProblems } from './otel-environment.ts';
import { startRemit } from './remit.ts';
import type { RemitOptions } from './remit-options.ts';
import { movedKeysWarning } from './keys/signing-key-place.ts';
import { recordsAway } from './ledger/records-away.ts';
import { socketFolderProblem } from './socket-access.ts';
import { isStartProblem } from './start-problem.ts';
import type { StartRehearsal } from './start-rehearsal.ts';

/** How long a started process has to become ready. */
const READY_MS = 10_000;
const LOOK_MS = 100;

/**
 * Starts everything that a configuration names and closes it again, without a trace. State, ledger and signing keys are in a temporary
 * folder, checks use a socket there, and other servers use free loopback ports. Policies, SVID and key sets are real, and so are the
 * authorities of a sidecar, which follows them and sends no records. The real state file, database, ledger, keys, folders and addresses are
 * inspected but not changed. It does not test whether the real addresses are free, since a process that is about to be restarted uses them.
 */
export async function rehearseStart(
  config: Config,
  { ports, guard, environment }: Pick<RemitOptions, 'ports' | 'environment'> & Required<Pick<RemitOptions, 'guard'>>,
): Promise<StartRehearsal> {
  const database = await databaseFindings(config, ports);
  const records = await recordsAway(config);
  const away = [...database.waits, ...(records === null ? [] : [records.problem])];
  const places = await inspected(config);
  const problems = [
    ...otelEnvironmentProblems(environment),
    ...places.map(({ problem }) => problem),
    ...[await socketFolderProblem('authority.listen', config.authority.listen, guard)].filter(
      (problem) => problem !== null,
    ),
    ...database.problems,
  ];
  const isTampered = places.some((place) => place.isTampered === true);
  const noSvid = await missingWorkloadApi(config);
  const folder = await mkdtemp(join(tmpdir(), 'remit-check-'));
  try {
    await mkdir(join(folder, KEYS), { mode: 0o700 });
    const said: string[] = [];
    const moved = movedKeysWarning(config);
    if (moved !== null) said.push(moved);
    const outdated = config.state.kind === 'sqlite' ? pendingVersion(config.state.path, stateFormat) : null;
    if (outdated !== null && !isStoreFailure(outdated)) said.push(outdatedWarning(statePathOf(config.state), outdated));
    const remit = await startRemit(rehearsed(config, folder), {
      ports,
      // The folder is this process's own, even below a folder that others may write: an `emptyDir` of Kubernetes has mode 2777.
      guard: (path) => (isWithin(path, folder) ? Promise.resolve(null) : guard(path)),
      isRehearsal: true,
      noSvid,
      // Nothing is exported.
      environment: {},
      log: (line) => said.push(line),
      onFatal: () => undefined,
    });
    const warnings = (): readonly string[] => [
      ...database.warnings,
      ...said.filter((line) => line.startsWith('warning: ')),
    ];
    if (isStartProblem(remit)) {
      const lines = remit.problem.split('\n');
      return remit.mayPass === true
        ? { problems, waits: [...away, ...lines], warnings: warnings(), isTampered }
        : { problems: [...problems, ...lines], waits: away, warnings: [], isTampered };
    }
    const unmet = await unmetAfter(() => remit.unmet(), { monotonicMs: ports.monotonicMs, hasSvid: noSvid === null });
    await remit.close();
    return { problems, waits: away, warnings: [...warnings(), ...unmet.map(notReady)], isTampered };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const isWithin = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}/`);

const outdatedWarning = (state: string, from: number): string =>
  `warning: the state file \`${state}\` would be migrated from schema version ${from} to ${stateFormat.version}, and a copy kept beside it`;

/** Away from the state file, so that no warning about moved keys is given. */
const KEYS = 'keys';

const FREE: Address = { kind: 'tcp', host: '127.0.0.1', port: 0 };

const rehearsed = (config: Config, folder: string): Config => ({
  ...config,
  extAuthz: { ...config.extAuthz, listen: [{ kind: 'unix', path: join(folder, 'check.sock') }] },
  admin: { ...config.admin, listen: FREE, socket: null },
  issuer: config.issuer === null ? null : rehearsedIssuer(config.issuer, folder),
  decisionLog: 'none',
  state: config.state.kind === 'authority' ? config.state : { kind: 'sqlite', path: join(folder, 'state.db') },
  authority: {
    ...config.authority,
    listen: config.authority.listen.map((_at, n) => ({ kind: 'unix', path: join(folder, `authority-${n}.sock`) })),
  },
  // In the folder beside the state file.
  records: { ...config.records, place: null },
  ledger: {
    ...config.ledger,
    folder: join(folder, 'ledger'),
    witnesses: [],
    keyFile: join(folder, 'ledger-key.pem'),
    checkpointFile: join(folder, 'checkpoints.txt'),
    others: [],
  },
});

const rehearsedIssuer = (issuer: NonNullable<Config['issuer']>, folder: string): Config['issuer'] => ({
  ...issuer,
  listen: FREE,
  signingKey: join(folder, KEYS, 'signing-keys'),
  transactionKey: issuer.transactionKey === null ? null : join(folder, 'transaction-key.pem'),
  signals: issuer.signals === null ? null : { ...issuer.signals, listen: issuer.signals.listen === null ? null : FREE },
});

/** Gates that are never met without an SVID. */
const OF_SVID = /^(?:svid|lease): /;

/** The gates that are still unmet once all that can be met are, or the time is over. */
async function unmetAfter(
  unmet: () => readonly string[],
  { monotonicMs, hasSvid }: { readonly monotonicMs: () => number; readonly hasSvid: boolean },
): Promise<readonly string[]> {
  const endMs = monotonicMs() + READY_MS;
  const mayBeMet = (gate: string): boolean => hasSvid || !OF_SVID.test(gate);
  while (unmet().some(mayBeMet) && monotonicMs() < endMs) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  return unmet();
}

/** What a start would find of the real database, which is read alone. */
async function databaseFindings(
  { state, durability, issuer, trustDomains }: Config,
  ports: Ports,
): Promise<StartRehearsal> {
  if (state.kind !== 'postgres') return NOTHING;
  const { randomBytes } = ports;
  const opened = await openPostgresState({ target: state.target, durability, clocks: ports, randomBytes, address: '' });
  if (isStoreFailure(opened))
    return opened.code === 'later' ? { ...NOTHING, problems: [opened.detail] } : { ...NOTHING, waits: [opened.detail] };
  const other = issuer === null ? null : await opened.fleetProblem({ issuer: issuer.url, trustDomains });
  const found = other ?? (await opened.problems());
  await opened.close();
  if (other?.code === 'unusable') return { ...NOTHING, problems: [other.detail] };
  const unmet = isStoreFailure(found) ? [found.detail] : found;
  return { ...NOTHING, warnings: unmet.map((problem) => notReady(`database: ${problem}`)) };
}

const NOTHING: StartRehearsal = { problems: [], waits: [], warnings: [], isTampered: false };

const notReady = (gate: string): string => `warning: it would start, but not become ready: ${gate}`;

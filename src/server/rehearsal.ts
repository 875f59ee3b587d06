import { constants } from 'node:fs';
import { access, mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Config } from '../config/config.ts';
import { statePathOf } from '../config/state.ts';
import type { Address } from '../config/values.ts';
import { signingKeyAt } from '../issuer/signing-key.ts';
import { pendingVersion } from '../state/sqlite/migration.ts';
import { stateFormat } from '../state/sqlite/schema.ts';
import { openPostgresState } from '../state/postgres/postgres-state.ts';
import type { Ports } from '../runtime/ports.ts';
import { isStoreFailure } from '../sqlite/store-failure.ts';
import { otelEnvironmentProblems } from './otel-environment.ts';
import { startRemit } from './remit.ts';
import type { RemitOptions } from './remit-options.ts';
import { movedKeysWarning } from './signing-key-place.ts';
import { socketFolderProblem } from './socket-access.ts';
import { codeOf, isStartProblem } from './start-problem.ts';

/** The result of a rehearsal, one line for each finding. */
export interface StartRehearsal {
  /** Problems that would prevent a start; empty where there are none. */
  readonly problems: readonly string[];
  /** Findings that would not prevent a start. */
  readonly warnings: readonly string[];
}

/** How long a started process has to become ready. */
const READY_MS = 10_000;
const LOOK_MS = 100;

/**
 * Starts everything that a configuration names and closes it again, without a trace. State, ledger and signing keys are in a temporary
 * folder, checks use a socket there, and other servers use free loopback ports. Policies, SVID and key sets are the real ones, and so are the
 * authorities of a sidecar, which follows them and sends no records. The real state file, database, keys and folders are inspected but not
 * changed. It does not test whether the real addresses are free, since a process that is
 * about to be restarted uses them.
 */
export async function rehearseStart(
  config: Config,
  { ports, guard, environment }: Pick<RemitOptions, 'ports' | 'environment'> & Required<Pick<RemitOptions, 'guard'>>,
): Promise<StartRehearsal> {
  const problems = [
    ...otelEnvironmentProblems(environment),
    ...(await placeProblems(config)),
    ...[await socketFolderProblem('authority.listen', config.authority.listen, guard)].filter(
      (problem) => problem !== null,
    ),
    ...(await databaseProblems(config, ports)),
  ];
  const folder = await mkdtemp(join(tmpdir(), 'remit-check-'));
  try {
    await mkdir(join(folder, KEYS), { mode: 0o700 });
    const said: string[] = [];
    const moved = movedKeysWarning(config);
    if (moved !== null) said.push(moved);
    const outdated = config.state.kind === 'sqlite' ? pendingVersion(config.state.path, stateFormat) : null;
    if (isStoreFailure(outdated)) problems.push(outdated.detail);
    else if (outdated !== null) said.push(outdatedWarning(statePathOf(config.state), outdated));
    const remit = await startRemit(rehearsed(config, folder), {
      ports,
      guard,
      isRehearsal: true,
      // Nothing is exported.
      environment: {},
      log: (line) => said.push(line),
      onFatal: () => undefined,
    });
    if (isStartProblem(remit)) return { problems: [...problems, ...remit.problem.split('\n')], warnings: [] };
    const unmet = await unmetAfter(() => remit.unmet(), ports.monotonicMs);
    await remit.close();
    const warnings = said.filter((line) => line.startsWith('warning: '));
    return {
      problems,
      warnings: [...warnings, ...unmet.map((gate) => `warning: it would start, but not become ready: ${gate}`)],
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const outdatedWarning = (state: string, from: number): string =>
  `warning: the state file \`${state}\` would be migrated from schema version ${from} to ${stateFormat.version}, and a copy kept beside it`;

/** Away from the state file, so that no warning about moved keys is given. */
const KEYS = 'keys';

const FREE: Address = { kind: 'tcp', host: '127.0.0.1', port: 0 };

const rehearsed = (config: Config, folder: string): Config => ({
  ...config,
  extAuthz: { ...config.extAuthz, listen: [{ kind: 'unix', path: join(folder, 'check.sock') }] },
  admin: { ...config.admin, listen: FREE },
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

/** The gates that are still unmet once all are met or the time is over. */
async function unmetAfter(unmet: () => readonly string[], monotonicMs: () => number): Promise<readonly string[]> {
  const endMs = monotonicMs() + READY_MS;
  while (unmet().length > 0 && monotonicMs() < endMs) await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  return unmet();
}

/** Problems with the real database, which is read alone. */
async function databaseProblems(
  { state, durability, issuer, trustDomains }: Config,
  ports: Ports,
): Promise<readonly string[]> {
  if (state.kind !== 'postgres') return [];
  const { randomBytes } = ports;
  const opened = await openPostgresState({ target: state.target, durability, clocks: ports, randomBytes, address: '' });
  if (isStoreFailure(opened)) return [opened.detail];
  const other = issuer === null ? null : await opened.fleetProblem({ issuer: issuer.url, trustDomains });
  const found = other ?? (await opened.problems());
  await opened.close();
  return isStoreFailure(found) ? [found.detail] : found;
}

/** Problems with the real files and folders. */
async function placeProblems({
  state,
  ledger,
  issuer: configured,
  records: { place },
}: Config): Promise<readonly string[]> {
  // An authority on a PostgreSQL has its keys in memory.
  const issuer = state.kind === 'postgres' ? null : configured;
  const found = await Promise.all([
    ...(state.kind === 'sqlite' ? [unwritable('state', state.path)] : []),
    ...(place?.kind === 'file' ? [unwritable('records', place.folder)] : []),
    unwritable('ledger.folder', ledger.folder),
    unwritable('ledger.checkpoints', ledger.checkpointFile),
    ...(issuer === null ? [] : [unwritable('issuer.signingKey', issuer.signingKey), keyProblem(issuer.signingKey)]),
    ...[configured?.transactionKey ?? null].filter((path) => path !== null).map(keyProblem),
  ]);
  return found.filter((problem) => problem !== null);
}

/** Why a file or folder could not be written, or created in its nearest existing ancestor. */
async function unwritable(field: string, path: string): Promise<string | null> {
  for (let at = path; ; at = dirname(at)) {
    try {
      await access(at, constants.W_OK);
      const isFolderAbove = at !== path && !(await stat(at)).isDirectory();
      return isFolderAbove ? `\`${field}\`: \`${path}\` cannot be created: \`${at}\` is not a folder` : null;
    } catch (error) {
      if (codeOf(error) === 'ENOENT' && at !== dirname(at)) continue;
      return `\`${field}\`: \`${path}\` cannot be written: ${codeOf(error)}`;
    }
  }
}

/** Why a key file cannot be used; `null` where it can, does not exist yet, or is a folder. */
async function keyProblem(path: string): Promise<string | null> {
  const stats = await stat(path).catch(() => null);
  if (stats === null || stats.isDirectory()) return null;
  const key = await signingKeyAt(path);
  return 'problem' in key ? key.problem : null;
}

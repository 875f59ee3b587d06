import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import type { Config } from '../core/config/config.ts';
import { addressText } from '../core/config/values.ts';
import type { Address } from '../core/config/values.ts';
import { signingKeyAt } from '../authority/issuer/keys/signing-key.ts';
import { signingKeyFiles } from '../authority/issuer/keys/signing-key-files.ts';
import { logEndProblem } from '../core/ledger/log/log-end.ts';
import { isProblem } from '../core/runtime/problem.ts';
import { unixPathProblem } from '../core/runtime/system/unix-socket.ts';
import { isStoreFailure } from '../core/runtime/store-failure.ts';
import { pendingVersion } from '../authority/state/sqlite/migration.ts';
import { stateFormat } from '../authority/state/sqlite/schema.ts';
import { retainOf } from './ledger/ledger-room.ts';
import { errorCode } from '../core/runtime/system/error-code.ts';
import type { StartProblem } from './start-problem.ts';

/**
 * What is wrong with the real files, folders and addresses of a configuration, which a rehearsal does not use: as a start would find it, and
 * without changing anything.
 */
export async function inspected(config: Config): Promise<readonly StartProblem[]> {
  const { state, ledger, issuer: configured, records } = config;
  // An authority on a PostgreSQL has its keys in memory.
  const issuer = state.kind === 'postgres' ? null : configured;
  const found = await Promise.all([
    ...(state.kind === 'sqlite' ? [unwritable('state', state.path), stateProblem(state.path)] : []),
    ...(records.place?.kind === 'file' ? [unwritable('records', records.place.folder)] : []),
    unwritable('ledger.folder', ledger.folder),
    unwritable('ledger.checkpoints', ledger.checkpointFile),
    ledgerProblem(config),
    ...(issuer === null
      ? []
      : [unwritable('issuer.signingKey', issuer.signingKey), signingKeyProblem(issuer.signingKey)]),
    ...[configured?.transactionKey ?? null].filter((path) => path !== null).map(keyProblem),
    ...addressesOf(config).map(([field, address]) => addressProblem(field, address)),
  ]);
  return found.flatMap((problem) => (problem === null ? [] : typeof problem === 'string' ? [{ problem }] : [problem]));
}

/** Why a file or folder could not be written, or created in its nearest existing ancestor. */
async function unwritable(field: string, path: string): Promise<string | null> {
  for (let at = path; ; at = dirname(at)) {
    try {
      await access(at, constants.W_OK);
      const isFolderAbove = at !== path && !(await stat(at)).isDirectory();
      return isFolderAbove ? `\`${field}\`: \`${path}\` cannot be created: \`${at}\` is not a folder` : null;
    } catch (error) {
      if (errorCode(error) === 'ENOENT' && at !== dirname(at)) continue;
      return `\`${field}\`: \`${path}\` cannot be written: ${errorCode(error) ?? 'unknown error'}`;
    }
  }
}

/** Why this build can neither read nor migrate a state file. */
async function stateProblem(path: string): Promise<string | null> {
  const pending = pendingVersion(path, stateFormat);
  return isStoreFailure(pending) ? pending.detail : null;
}

/** Most attempts: a read can see a partial write of a running process. */
const LOOKS = 3;

async function ledgerProblem({ ledger, trustDomains }: Config): Promise<StartProblem | null> {
  const settings = { ...ledger, retain: retainOf(ledger), trustDomain: trustDomains[0] ?? 'none' };
  for (let looks = 1; ; looks += 1) {
    const failure = logEndProblem(settings);
    if (failure === null) return null;
    if (failure.code !== 'unfit' || looks === LOOKS)
      return { problem: failure.detail, isTampered: failure.code === 'unfit' };
  }
}

/** Why signing keys (a file, or a folder of files) cannot be used; `null` if they can, or do not exist yet. */
async function signingKeyProblem(path: string): Promise<string | null> {
  const stats = await stat(path).catch(() => null);
  if (stats === null) return null;
  const files = stats.isDirectory() ? signingKeyFiles(path) : [path];
  if (isProblem(files)) return files.problem;
  for (const file of files) {
    const problem = await keyProblem(file);
    if (problem !== null) return problem;
  }
  return null;
}

/** Why a key file cannot be used; `null` if it can, or does not exist yet. */
async function keyProblem(path: string): Promise<string | null> {
  if ((await stat(path).catch(() => null)) === null) return null;
  const key = await signingKeyAt(path);
  return 'problem' in key ? key.problem : null;
}

const addressesOf = ({ admin, authority, extAuthz, issuer }: Config): readonly (readonly [string, Address])[] => [
  ...extAuthz.listen.map((address) => ['extAuthz.listen', address] as const),
  ...authority.listen.map((address) => ['authority.listen', address] as const),
  ['admin.listen', admin.listen] as const,
  ...(admin.socket === null ? [] : [['admin.socket', admin.socket] as const]),
  ...(issuer === null ? [] : [['issuer.listen', issuer.listen] as const]),
  ...[issuer?.signals?.listen ?? null].flatMap((address) =>
    address === null ? [] : [['issuer.signals.listen', address] as const],
  ),
];

/** Why an address cannot be listened on; `null` if it can, or is in use, for example by the process that is about to be restarted. */
async function addressProblem(field: string, address: Address): Promise<string | null> {
  if (address.kind === 'unix') {
    const problem = await unixPathProblem(address.path);
    return problem === null ? null : `\`${field}\`: ${problem}`;
  }
  const code = await bindFailure(address);
  return code === null || code === 'EADDRINUSE'
    ? null
    : `\`${field}\`: cannot listen on \`${addressText(address)}\`: ${code}`;
}

/** Binds a free port of the host if the port needs no privilege, so that this does not block a process that starts. */
const bindFailure = ({ host, port }: { readonly host: string; readonly port: number }): Promise<string | null> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve(errorCode(error) ?? 'unknown error'));
    server.listen({ host, port: port < 1_024 ? port : 0 }, () => server.close(() => resolve(null)));
  });

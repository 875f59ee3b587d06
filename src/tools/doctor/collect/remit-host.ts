import { X509Certificate } from 'node:crypto';
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import type { Config } from '../../../core/config/config.ts';
import { groupIdOf } from '../../../core/runtime/system/group-id.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { LedgerFolder, ListenedSocket, RemitHost } from '../remit/remit-facts.ts';
import { issuerEndpoint } from './issuer-endpoint.ts';
import { ledgerVerdict } from './ledger-verdict.ts';
import { namedFileAt } from './named-files.ts';
import { policyFolderOf } from './policy-folder.ts';
import { socketFactsOf } from './socket-facts.ts';

const CONNECT_MS = 2_000;
/** The usual sockets of SPIRE agents for the Workload API. */
const WORKLOAD_APIS = [
  '/spiffe-workload-api/spire-agent.sock',
  '/run/spire/sockets/agent.sock',
  '/tmp/spire-agent/public/api.sock',
];

/** Examines what a configuration names on this machine. */
export async function remitHost(config: Config): Promise<RemitHost> {
  const { extAuthz, policies, svid } = config;
  const paths = extAuthz.listen.flatMap((address) => (address.kind === 'unix' ? [address.path] : []));
  return {
    config,
    sockets: await Promise.all(paths.map((path) => listenedSocket(path, extAuthz))),
    workloadApi: svid?.kind === 'workload-api' ? workloadApiAt(svid.target) : null,
    svidFile:
      svid?.kind === 'files' ? { path: svid.certificate, notAfterMs: await notAfterMsOf(svid.certificate) } : null,
    ownCas: svid?.kind === 'files' ? (await namedFileAt(svid.bundle)).cas : null,
    policies: policies.bundle === null ? await policyFolderOf(policies.folder) : null,
    ledger: ledgerFolder(config.ledger),
    writableState: writableState(config.state),
    issuer: config.issuer === null ? null : await issuerEndpoint(config.issuer),
    memoryLimitBytes: memoryLimit(),
  };
}

async function listenedSocket(path: string, { socketGroup }: Config['extAuthz']): Promise<ListenedSocket> {
  const [found = { kind: 'missing' as const }] = socketFactsOf([path]).values();
  const group = socketGroup === null ? null : await groupIdOf(socketGroup);
  return {
    path,
    found,
    refusal: found.kind === 'socket' ? await refusalOf(path) : null,
    isFolderOpen: openFolderAbove(path) !== null,
    groupId: isProblem(group) ? null : group,
    groupProblem: isProblem(group) ? group.problem : null,
  };
}

/** The nearest folder above a path that everybody may write, so that what leads to the path can be replaced; `null` if there is none. */
function openFolderAbove(path: string): string | null {
  const above = dirname(path);
  if (isOpenToAll(above)) return above;
  return above === path ? null : openFolderAbove(above);
}

/** The state file, or a folder above it, that every user can write. */
function writableState(state: Config['state']): string | null {
  if (state.kind !== 'sqlite') return null;
  return openFolderAbove(state.path) ?? (isOpenToAll(state.path) ? state.path : null);
}

/** Why a socket refuses a connection: the code of the system, or no answer within 2 s. `null` if it accepts. */
const refusalOf = (path: string): Promise<string | null> =>
  new Promise((resolve) => {
    const socket = connect(path);
    const settle = (refusal: string | null): void => {
      socket.destroy();
      resolve(refusal);
    };
    socket.setTimeout(CONNECT_MS, () => settle('no answer'));
    socket.once('connect', () => settle(null));
    socket.once('error', (error: NodeJS.ErrnoException) => settle(error.code ?? 'unknown error'));
  });

/** Whether others may replace a file of the folder. In a folder with the sticky bit only its owner may. */
function isOpenToAll(folder: string): boolean {
  try {
    const { mode } = statSync(folder);
    return (mode & 0o002) !== 0 && (mode & 0o1000) === 0;
  } catch {
    return false;
  }
}

function workloadApiAt(target: string): RemitHost['workloadApi'] {
  if (!target.startsWith('unix:')) return null;
  const path = target.slice('unix:'.length);
  const [found = { kind: 'missing' as const }] = socketFactsOf([path]).values();
  const known = socketFactsOf(WORKLOAD_APIS.filter((one) => one !== path));
  return { path, found, others: [...known].filter(([, one]) => one.kind === 'socket').map(([one]) => one) };
}

async function notAfterMsOf(path: string): Promise<number | null> {
  try {
    return new X509Certificate(await readFile(path)).validToDate.getTime();
  } catch {
    return null;
  }
}

function ledgerFolder({ folder, keyFile }: Config['ledger']): LedgerFolder {
  const found = accessOf(folder);
  if (found === 'missing' || found === 'unreadable') return { folder, found, broken: null, isVerified: true };
  return { folder, found, ...ledgerVerdict(folder, keyFile) };
}

function accessOf(folder: string): LedgerFolder['found'] {
  try {
    accessSync(folder, constants.R_OK | constants.X_OK);
  } catch (error) {
    // By shape: under a test runner the error is of another realm.
    return (error as { readonly code?: unknown }).code === 'ENOENT' ? 'missing' : 'unreadable';
  }
  try {
    accessSync(folder, constants.W_OK);
    return 'writable';
  } catch {
    return 'not-writable';
  }
}

/** The limit of the control group of this process; `null` if there is none. @see cgroup v2, memory.max */
function memoryLimit(): number | null {
  for (const file of ['/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes']) {
    try {
      const limit = Number(readFileSync(file, 'utf8').trim());
      if (Number.isSafeInteger(limit) && limit > 0) return limit;
    } catch {
      // Another version of control groups, or none.
    }
  }
  return null;
}

import { isDeny } from '../../core/decision/decision.ts';
import type { Limit } from '../../core/limit/limit.ts';
import { sqliteEngine } from '../../authority/feed/engine.ts';
import type { AuthorityEngine } from '../../authority/feed/engine.ts';
import { postgresEngine } from '../../authority/feed/postgres-engine.ts';
import { MARGIN_MS } from '../../authority/feed/hub/followers.ts';
import { startAuthority } from '../../authority/feed/start-authority.ts';
import type { AuthorityParts, ServingAuthority } from '../../authority/feed/start-authority.ts';
import type { IssuerConfig } from '../../core/config/issuer.ts';
import { statePathOf } from '../../core/config/state.ts';
import { remitVersion } from '../../core/config/version.ts';
import { LOST_COMMITS } from '../../core/fleet/fleet-report.ts';
import type { OwnKeys } from '../../authority/issuer/keys/signing-keys.ts';
import { after } from '../../core/runtime/timers.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import type { SocketAccess } from '../../core/runtime/system/unix-socket.ts';
import type { Closers } from '../closers.ts';
import { openLeaseFile } from '../state/lease-file.ts';
import type { LeaseFile } from '../state/lease-file.ts';
import type { Parts } from '../parts.ts';
import { socketAccessOf, socketFolderProblem } from '../socket-access.ts';
import { awaitedSvid } from '../keys/own-svid.ts';
import { openReceivedRecords } from '../ledger/received-records.ts';
import { recordsAway } from '../ledger/records-away.ts';
import { isStartProblem } from '../start-problem.ts';
import type { StartProblem } from '../start-problem.ts';
import type { Waits } from '../waits.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';

/** The shared parts that the role of the authority uses. */
type RoleParts = Pick<
  Parts,
  | 'config'
  | 'authority'
  | 'stateFile'
  | 'database'
  | 'settling'
  | 'svid'
  | 'ports'
  | 'log'
  | 'ledger'
  | 'faults'
  | 'metrics'
  | 'guard'
  | 'bundle'
  | 'policies'
>;

/** The tokens that sidecars accept, and their keys. */
interface TokenSource {
  readonly issuer: IssuerConfig | null;
  readonly signingKeys: OwnKeys | null;
  readonly readKeys: AuthorityParts['readKeys'] | null;
}

/** Starts to serve sidecars, if the configuration names addresses for them; else `null`. */
export async function startAuthorityRole(
  parts: RoleParts,
  {
    issuer,
    signingKeys,
    readKeys,
    waits,
    closers,
  }: TokenSource & { readonly waits: Waits; readonly closers: Pick<Closers, 'push'> },
): Promise<ServingAuthority | null | StartProblem> {
  const { config, authority, svid, ports, log } = parts;
  const { listen, sidecars, leaseSeconds } = config.authority;
  if (listen.length === 0 || authority === null || issuer === null || signingKeys === null) return null;
  const from = engineOf(parts);
  if ('problem' in from) return from;
  const socket = await addressesReady(parts);
  if ('problem' in socket) return socket;
  const away = await waits.until(() => recordsAway(config));
  if (away !== null) return away;
  const records = await receivedRecords(parts, closers);
  if (isStartProblem(records)) return records;
  const leaseMs = leaseSeconds * 1_000;
  const former = formerLease(parts, leaseMs);
  if (former !== null && 'problem' in former) return former;
  const serving = await servingOnce(parts, waits, {
    listen,
    sidecars: () => sidecars,
    leaseMs,
    formerLeaseMs: former?.longestMs ?? leaseMs,
    ...from,
    reports: authority,
    bundle: parts.bundle,
    taskLimits: () => limitsInForce(parts),
    records,
    issuer: issuer.url,
    jwks: () => signingKeys.jwks(),
    ...(readKeys && { readKeys }),
    svid,
    socket,
    version: remitVersion(),
    ports,
    after,
    onProblem: (line) => log(line, 'authority'),
  });
  if (!('targets' in serving)) return serving;
  closers.push(() => serving.close());
  if (former !== null) closers.push(after(former.longestMs + MARGIN_MS, former.formerAreOver));
  log(`sidecars on ${serving.targets.join(', ')}`, 'authority');
  return serving;
}

const limitsInForce = ({ policies }: Pick<Parts, 'policies'>): readonly Limit[] => {
  const set = policies.get();
  return isDeny(set) ? [] : set.limits;
};

/** Waits for what the addresses need, an SVID over TCP and a safe folder over a socket. Gives who may connect to the sockets. */
async function addressesReady({
  config: { authority },
  svid,
  guard,
}: Pick<Parts, 'config' | 'svid' | 'guard'>): Promise<SocketAccess | StartProblem> {
  const { listen } = authority;
  // Over TCP it shows a certificate. Over a socket it needs none, and does not wait.
  const own = svid === null || listen.every(({ kind }) => kind === 'unix') ? null : await awaitedSvid(svid);
  if (isStartProblem(own))
    return { problem: `the authority needs an SVID to listen on TCP: ${own.problem}`, mayPass: true };
  const folder = await socketFolderProblem('authority.listen', listen, guard);
  return folder === null ? socketAccessOf('authority', authority) : { problem: folder };
}

const receivedRecords = (parts: RoleParts, closers: Pick<Closers, 'push'>): ReturnType<typeof openReceivedRecords> =>
  openReceivedRecords(parts.config, {
    ...parts,
    writer: parts.ledger.writer,
    replica: parts.database?.state.replica ?? null,
    guard: parts.database?.state.guard,
    log: (line) => parts.log(line, 'authority'),
    closers,
  });

/** Starts the authority, and tries again while its database does not answer. A database that lost commits is named as the cause. */
const servingOnce = (
  { database }: Pick<Parts, 'database'>,
  waits: Waits,
  authorityParts: AuthorityParts,
): Promise<ServingAuthority | StartProblem> =>
  waits.until<ServingAuthority | StartProblem>(async () => {
    const started = await startAuthority(authorityParts);
    const isLost = 'problem' in started && (database?.lost() ?? null) !== null;
    return isLost ? { ...started, cause: LOST_COMMITS } : started;
  });

/** The lease of the previous process over the same state file; `null` if the state is in a database. */
function formerLease(
  { config, stateFile, ports }: Pick<Parts, 'config' | 'stateFile' | 'ports'>,
  leaseMs: number,
): LeaseFile | StartProblem | null {
  if (stateFile === null) return null;
  const path = statePathOf(config.state);
  try {
    return openLeaseFile(path, { leaseMs, suffix: Buffer.from(ports.randomBytes(8)).toString('hex') });
  } catch (error) {
    const code = errorCode(error) ?? String(error);
    return { problem: `the leases of sidecars cannot be noted in \`${path}.lease\`: ${code}` };
  }
}

/** The database of an authority, and its key for digests of static secrets. */
function engineOf({
  stateFile,
  database,
  settling,
}: Pick<Parts, 'stateFile' | 'database' | 'settling'>):
  { readonly engine: AuthorityEngine; readonly digestKey: Uint8Array } | StartProblem {
  if (database !== null) return { engine: postgresEngine(database.state), digestKey: database.state.digestKey };
  if (stateFile === null) return { problem: 'an authority needs a state of its own' };
  const digestKey = stateFile.reader.digestKey();
  return isStoreFailure(digestKey)
    ? { problem: digestKey.detail }
    : { engine: sqliteEngine({ ...stateFile, settling }), digestKey };
}

import type { FleetReport } from '../../core/fleet/fleet-report.ts';
import type { SvidSource } from '../../core/identity/svid.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import type { After } from '../../core/runtime/timers.ts';
import type { SocketAccess } from '../../core/runtime/system/unix-socket.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import type { SidecarGrant } from './authorize.ts';
import { BundleSender } from './bundle-handler.ts';
import type { ServedBundle } from './bundle-handler.ts';
import { SidecarCalls } from './calls.ts';
import { PeerLimits } from './client-limits.ts';
import type { Limit } from '../../core/limit/limit.ts';
import type { AuthorityEngine } from './engine.ts';
import { Followers, MARGIN_MS } from './hub/followers.ts';
import type { FollowersOptions } from './hub/followers-options.ts';
import { feedPlaceOf } from './hub/feed-place.ts';
import { FleetEnforcement } from './hub/fleet-enforcement.ts';
import { noting, PendingChanges } from './hub/pending-changes.ts';
import type { ReceivedRecords } from './received-records.ts';
import { writeReport } from './report-writes.ts';
import { furthestBehind } from './sidecar-reports.ts';
import type { SidecarReportTarget } from './report-writes.ts';
import { defaultProofRules } from '../../core/token/proof/proof.ts';
import { ProofUses } from './proof-uses.ts';
import { AuthorityServer } from './server.ts';
import type { AuthorityAddress, AuthorityServerOptions } from './server.ts';

/** What an authority is made of. */
export interface AuthorityParts {
  /** At least one address. */
  readonly listen: readonly AuthorityAddress[];
  /** The rules in force; read with each call. */
  readonly sidecars: () => readonly SidecarGrant[];
  readonly leaseMs: number;
  /** The longest lease that a former process over a state file may have given. Default `leaseMs`; a database stores it itself. */
  readonly formerLeaseMs?: number;
  readonly engine: AuthorityEngine;
  readonly reports: SidecarReportTarget;
  /** 32 bytes, by which all sidecars give a static secret the same digest. */
  readonly digestKey: Uint8Array;
  readonly issuer: string;
  /** The JSON Web Key Set of the tokens; call `keysChanged` when it changes. */
  readonly jwks: () => object;
  /** The signed policy bundle in force here, for sidecars; looked at each 25 ms. Default: there is none. */
  readonly bundle?: () => ServedBundle | null;
  /** `FollowersOptions.readKeys`. */
  readonly readKeys?: (position: number) => Promise<boolean>;
  /** The limits over all tasks of the policies in force here: they say whether a limit suspends or stops. Default: none does. */
  readonly taskLimits?: () => readonly Limit[];
  /** Receives the logs of sidecars. Default: their records are refused. */
  readonly records?: ReceivedRecords;
  /** Needed to listen on TCP. */
  readonly svid: SvidSource | null;
  /** Who may connect to Unix sockets. Default: the user of this process. */
  readonly socket?: SocketAccess;
  readonly version: string;
  readonly ports: Ports;
  readonly after: After;
  /** Called with faults that must not be sent to a client. */
  readonly onProblem: (line: string) => void;
}

/** The measurements of an authority. */
export interface AuthorityMeasures {
  /** Sidecars that follow it. */
  readonly sidecars: number;
  /** Number of the last change that it has processed. */
  readonly position: number;
  /** Changes that the connected sidecar which is furthest behind has not acknowledged. */
  readonly behind: number;
  /** For how long it has made no commit on its list of authorities; `null` if the state is a file. */
  readonly commitAgeMs: number | null;
}

/** An authority that serves. */
export interface ServingAuthority {
  /** The gRPC targets, in the order of `listen`. */
  readonly targets: readonly string[];
  /** Waits until no sidecar can use an older state of root tasks. */
  readonly enforced: Followers['enforced'];
  readonly keysChanged: () => void;
  /** Whether this authority knows every change that counts as enforced. */
  readonly isCurrent: () => boolean;
  readonly sidecars: () => number;
  /** What `remit fleet` shows, but for the database. */
  readonly report: () => Omit<FleetReport, 'database'>;
  readonly measures: () => AuthorityMeasures;
  /** Why no sidecar is served; `null` if they are. */
  readonly problem: () => string | null;
  /** Asks the sidecars to connect elsewhere. */
  readonly drain: (withinMs: number) => void;
  readonly close: () => Promise<void>;
}

const OWN_USER: SocketAccess = { mode: 0o600, groupId: null };

/** Why an authority does not start; `mayPass` if it can be tried again, such as while the database does not answer. */
export interface AuthorityProblem {
  readonly problem: string;
  readonly mayPass?: boolean;
}

/** Starts to serve sidecars. On a problem nothing is left open. */
export async function startAuthority(parts: AuthorityParts): Promise<ServingAuthority | AuthorityProblem> {
  const pending = new PendingChanges();
  const engine = parts.engine.replicas === undefined ? parts.engine : noting(parts.engine, pending);
  const head = await headOf(engine, parts.readKeys);
  if ('problem' in head) return head;
  const limits = new PeerLimits(parts.ports.monotonicMs);
  const followers = followersFrom(head, parts, { engine, limits });
  const fleet = fleetEnforcement(parts, { engine, pending, followers });
  const running = fleet?.run();
  const servers = await listenAt(parts, {
    followers,
    calls: new SidecarCalls(followers, {
      engine,
      epoch: head.epoch,
      records: parts.records ?? null,
      limits,
      taskLimits: parts.taskLimits ?? noLimits,
    }),
    bundles: new BundleSender(parts.bundle ?? noBundle, parts.after),
    proofs: engine.replicas === undefined ? proofUses(parts, limits) : null,
  });
  const close = async (): Promise<void> => {
    followers.close();
    fleet?.close();
    await Promise.all([servers.close(), running]);
  };
  if ('problem' in servers) {
    await close();
    return servers.problem;
  }
  const { hub } = followers;
  return {
    targets: servers.targets,
    enforced: (roots) => (fleet ?? followers).enforced(roots),
    keysChanged: () => followers.keysChanged(),
    isCurrent: () => fleet?.isCurrent ?? true,
    sidecars: () => followers.size,
    report: () => ({
      ...followers.report(),
      id: engine.replicas?.id ?? null,
      replicas: fleet?.replicas(hub.position) ?? [],
    }),
    measures: () => ({
      sidecars: followers.size,
      position: hub.position,
      behind: furthestBehind(hub.streams, hub.position),
      commitAgeMs: fleet?.commitAgeMs() ?? null,
    }),
    problem: () => followers.halted ?? fleet?.problem() ?? null,
    drain: (withinMs) => followers.drain(withinMs),
    close,
  };
}

const noLimits = (): readonly Limit[] => [];
const noBundle = (): null => null;

/** From where followers are served: the epoch, and the place from which the feed continues. */
type FeedHead = Pick<FollowersOptions, 'epoch' | 'place'>;

async function headOf(
  engine: AuthorityEngine,
  readKeys: AuthorityParts['readKeys'],
): Promise<FeedHead | AuthorityProblem> {
  const epoch = await engine.epoch();
  const place = await feedPlaceOf(engine);
  // A database that does not answer, or has no standby, comes back; a state file that fails does not.
  const mayPass = engine.replicas !== undefined;
  if (isStoreFailure(epoch)) return { problem: epoch.detail, mayPass };
  if (isStoreFailure(place)) return { problem: place.detail, mayPass };
  // After the head: what changes later comes with the feed.
  if ((await readKeys?.(place.seq)) === false)
    return { problem: 'the keys of tokens cannot be read from the database', mayPass };
  return { epoch, place };
}

function followersFrom(
  head: FeedHead,
  parts: AuthorityParts,
  { engine, limits }: { readonly engine: AuthorityEngine; readonly limits: PeerLimits },
): Followers {
  const { version, issuer, digestKey, leaseMs, formerLeaseMs = leaseMs, bundle = noBundle, reports } = parts;
  const { readKeys, ports, after, onProblem } = parts;
  return new Followers({
    ...head,
    limits,
    engine,
    leaseMs,
    formerLeaseMs,
    welcome: { version, issuer, digest_key: Buffer.from(digestKey) },
    readKeys,
    jwks: () => Buffer.from(JSON.stringify(parts.jwks())),
    bundle,
    clockMs: () => reports.floorMs(),
    ports,
    after,
    report: (report, { id, rights }) =>
      writeReport(report, { id, rights, sightings: limits.of(rights.peer).sightings }, reports),
    onProblem,
  });
}

/** Waits for the sidecars of all authorities of one database; `null` if this authority has a state file of its own. */
function fleetEnforcement(
  { ports, after, leaseMs, version }: AuthorityParts,
  {
    engine,
    pending,
    followers,
  }: { readonly engine: AuthorityEngine; readonly pending: PendingChanges; readonly followers: Followers },
): FleetEnforcement | null {
  const { replicas: board } = engine;
  const { hub, pump } = followers;
  if (board === undefined) return null;
  return new FleetEnforcement({
    board,
    pending,
    enforcedHere: () => hub.enforced,
    receiptHere: (seq, root) => hub.receipt(seq, root, ports.monotonicMs()),
    beat: () => engine.beat(),
    pollTo: (head) => pump.pollTo(head),
    head: () => engine.head(),
    enforcedLocally: (roots) => followers.enforced(roots),
    monotonicMs: ports.monotonicMs,
    leaseMs,
    marginMs: MARGIN_MS,
    wait: (ms) => new Promise((resolve) => void after(ms, resolve)),
    version,
    sidecars: () => followers.size,
  });
}

/** The proofs used at all sidecars of this authority. Authorities of a database keep none: another authority would not know them. */
const proofUses = ({ ports, reports }: AuthorityParts, limits: PeerLimits): ProofUses =>
  new ProofUses({
    pastSeconds: defaultProofRules.pastSeconds,
    clocks: () => ({ wallMs: ports.nowMs(), floorMs: reports.floorMs() }),
    admits: ({ peer }, count) => limits.of(peer).proofs.take(count),
  });

/** Listens at each address. If an address fails, the caller must still close the others. */
async function listenAt(
  { listen, sidecars, svid, socket = OWN_USER, records, ports, after }: AuthorityParts,
  serving: Pick<AuthorityServerOptions, 'followers' | 'calls' | 'bundles' | 'proofs'>,
): Promise<
  { readonly close: () => Promise<void> } & ({ readonly targets: string[] } | { readonly problem: AuthorityProblem })
> {
  const { nowMs, monotonicMs } = ports;
  const servers: AuthorityServer[] = [];
  const close = async (): Promise<void> => void (await Promise.all(servers.map((server) => server.close())));
  const targets: string[] = [];
  for (const address of listen) {
    const server = new AuthorityServer({
      ...serving,
      rules: sidecars,
      svid,
      socket,
      records: records ?? null,
      nowMs,
      monotonicMs,
      after,
    });
    servers.push(server);
    const target = await server.listen(address);
    if (typeof target !== 'string') return { problem: target, close };
    targets.push(target);
  }
  return { targets, close };
}

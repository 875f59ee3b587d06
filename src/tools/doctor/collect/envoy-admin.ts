import { failureWords, httpExchange } from '../../../core/runtime/system/http-exchange.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import { configFromDump } from '../envoy/envoy-config.ts';
import type { EnvoyConfig } from '../envoy/envoy-config.ts';
import type { HostStatus, NamedFile } from '../envoy/envoy-facts.ts';
import { namesRemit } from '../envoy/remit-filter.ts';
import { addressOf } from '../envoy/reach/cluster.ts';
import type { BundlePart, Collected } from '../facts.ts';
import { counted } from '../counted.ts';
import { redacted } from '../redacted.ts';
import { at, isTrueAt, listAt, membersAt, numberAt, textAt } from '../tree.ts';
import type { AdminAddress } from './admin-address.ts';
import { namedFilesOf } from './named-files.ts';
import { envoyUserOf } from './envoy-user.ts';
import { socketFactsOf } from './socket-facts.ts';

/** Longest answer that is read: the configuration of an Envoy of 10,000 routes is about 50 MB. */
const MAX_BYTES = 134_217_728;
const TIMEOUT_MS = 30_000;
const STATS = 'ext_authz|downstream_rq_(2xx|completed)|downstream_cx_total|control_plane|update_rejected';

/** A query to Envoy's admin interface. */
export interface EnvoyQuery {
  /** Candidate addresses, at least one, in the order in which they are preferred. */
  readonly admins: readonly AdminAddress[];
  /** The cluster of Remit, if the operator named it. */
  readonly remitCluster: string | null;
  /** Time for one answer, to its last byte. Default 30 s: a configuration of 50 MB takes Envoy some seconds. */
  readonly timeoutMs?: number;
}

/** An admin interface, and the time for each of its answers. */
interface Asked extends AdminAddress {
  readonly timeoutMs: number;
}

/** An address at which an Envoy answers, and its version. */
interface Answering {
  readonly admin: Asked;
  readonly version: string;
}

/**
 * Reads configuration, statistics and endpoints of a running Envoy from its admin interface. Of several that answer it is the first that asks
 * Remit, otherwise the first; a line names the others.
 */
export async function collectEnvoy({ admins, remitCluster, timeoutMs = TIMEOUT_MS }: EnvoyQuery): Promise<Collected> {
  const asked = admins.map((address) => ({ ...address, timeoutMs }));
  const versions = await Promise.all(asked.map(versionAt));
  const answering = asked.flatMap((admin, index): readonly Answering[] => {
    const version = versions[index];
    return typeof version === 'string' ? [{ admin, version }] : [];
  });
  const [first] = answering;
  if (first === undefined) return unread(unansweredBy(admins, versions.filter(isProblem)));
  const { collected, from } = await firstAsking(answering, first, remitCluster);
  if (admins.length === 1) return collected;
  const others = answering.filter((one) => one !== from).map(({ admin }) => `\`${admin.text}\``);
  if (collected.facts.envoys === undefined)
    return { ...collected, unread: collected.unread.map((line) => `${line}${besides(others)}`) };
  const words = `${isAsking(collected) ? '' : UNRECOGNISED}${besides(others)}`;
  return { ...collected, examined: collected.examined.map((line) => `${line}${words}`) };
}

function unansweredBy(admins: EnvoyQuery['admins'], problems: readonly Problem[]): Problem {
  const [only] = problems;
  if (only !== undefined && problems.length === 1) return only;
  const tried = admins.map(({ text }) => text).join(', ');
  return { problem: `no Envoy answers at ${tried}: name its admin address with --envoy` };
}

/** What the first Envoy that asks Remit answers; if none does, what `first` answers. */
async function firstAsking(
  answering: readonly Answering[],
  first: Answering,
  remitCluster: string | null,
): Promise<{ readonly from: Answering; readonly collected: Collected }> {
  const ofFirst = await read(first, remitCluster);
  if (isAsking(ofFirst)) return { from: first, collected: ofFirst };
  for (const from of answering.filter((one) => one !== first)) {
    const collected = await read(from, remitCluster);
    if (isAsking(collected)) return { from, collected };
  }
  return { from: first, collected: ofFirst };
}

const isAsking = ({ facts }: Collected): boolean => facts.envoys?.some(namesRemit) === true;

/** Said of an Envoy that may be of somebody else. */
const UNRECOGNISED =
  '; none of its filters names Remit: if another Envoy guards the tools, name the admin address of that with --envoy';

/** A clause about Envoys that were not examined. */
const besides = (others: readonly string[]): string =>
  others.length === 0 ? '' : `; not examined: the Envoy at ${others.join(' and ')}, which --envoy names`;

/**
 * `REVISION/1.40.0/Clean/RELEASE/BoringSSL`: revision, version, status of the source, build and TLS library.
 *
 * @see Envoy's `VersionInfo::version()` in source/common/version/version.cc
 */
const VERSION = /^[^/]*\/(\d+\.\d+\.\d[^/]*)\/[^/]+\/(?:RELEASE|DEBUG)\/[^/]+$/;

/** The version of the Envoy at an address, such as `1.40.0`. */
async function versionAt(admin: Asked): Promise<string | Problem> {
  const info = await jsonOf(admin, '/server_info');
  if (isProblem(info)) return info;
  return VERSION.exec(textAt(info.value, 'version'))?.[1] ?? notEnvoy(admin);
}

async function read({ admin, version }: Answering, remitCluster: string | null): Promise<Collected> {
  const [dumped, statuses, stats, runtime] = await Promise.all([
    jsonOf(admin, '/config_dump?include_eds'),
    jsonOf(admin, '/clusters?format=json'),
    adminAnswer(admin, `/stats?filter=${encodeURIComponent(STATS)}`),
    jsonOf(admin, '/runtime'),
  ]);
  if (isProblem(dumped)) return unread(dumped);
  if (isProblem(statuses)) return unread(statuses);
  if (isProblem(stats)) return unread(stats);
  const [dump, clusters] = [dumped.value, statuses.value];
  const config = configFromDump(dump);
  const user = envoyUserOf(admin);
  const files = user === null ? new Map<string, NamedFile>() : await namedFilesOf(config);
  const live = {
    version,
    stats: statsFrom(stats),
    runtime: isProblem(runtime) ? new Map<string, string>() : runtimeFrom(runtime.value),
    hosts: hostsFrom(clusters),
    user,
    adminAddress: admin.endpoint,
  };
  const parts: readonly BundlePart[] = [
    { name: 'envoy-config-dump.json', text: JSON.stringify(redacted(dump)) },
    { name: 'envoy-clusters.json', text: JSON.stringify(redacted(clusters)) },
    { name: 'envoy-stats.txt', text: stats },
  ];
  return {
    facts: { envoys: [{ prefix: '', config, live, sockets: socketFactsOf(pathsOf(config)), files, remitCluster }] },
    examined: [
      `Envoy ${version} at ${admin.text}: ${counted(config.listeners.length, 'listener')}, ${counted(config.clusters.size, 'cluster')}`,
    ],
    // An admin interface with `allow_paths` may not have it.
    unread: isProblem(runtime) && runtime.mayHide ? [runtime.problem] : [],
    parts,
  };
}

const unread = ({ problem }: Problem): Collected => ({ facts: {}, examined: [], unread: [problem], parts: [] });

/** Paths of the Unix sockets among the endpoints, also of clusters that warm. */
const pathsOf = ({ clusters, next }: EnvoyConfig): readonly string[] =>
  [...clusters.values(), ...(next?.clusters.values() ?? [])].flatMap(({ endpoints }) =>
    endpoints.filter((one) => one.startsWith('unix:/')).map((one) => one.slice('unix:'.length)),
  );

/** Deepest nesting of an answer; a configuration has some tens. What reads it is recursive. */
const MAX_NESTING = 500;

/** Whether a JSON text is nested too deeply to be read. */
function isNested(text: string): boolean {
  let depth = 0;
  let isQuoted = false;
  for (let at = 0; at < text.length && depth <= MAX_NESTING; at += 1) {
    const sign = text[at];
    if (isQuoted && sign === '\\') at += 1;
    else if (sign === '"') isQuoted = !isQuoted;
    else if (!isQuoted && (sign === '[' || sign === '{')) depth += 1;
    else if (!isQuoted && (sign === ']' || sign === '}')) depth -= 1;
  }
  return depth > MAX_NESTING;
}

/** Why there is no answer. */
interface Unanswered extends Problem {
  /** Whether something may be hidden by it; `false` if this admin interface does not offer the path. */
  readonly mayHide: boolean;
}

/** The value of one answer. It is wrapped: a hostile answer may itself look like a problem. */
async function jsonOf(admin: Asked, path: string): Promise<{ readonly value: unknown } | Unanswered> {
  const text = await adminAnswer(admin, path);
  if (typeof text !== 'string') return text;
  if (isNested(text))
    return { problem: `Envoy at \`${admin.text}\` answered with values that are nested too deeply`, mayHide: true };
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return notEnvoy(admin);
  }
}

const notEnvoy = ({ text }: Asked): Unanswered => ({
  problem: `\`${text}\` answered, but it is not the admin interface of an Envoy`,
  mayHide: true,
});

/** Statuses of an admin interface that does not have a path, or may not show it. */
const WITHOUT: ReadonlySet<number> = new Set([403, 404]);

/** The text of one answer, or why there is none. */
async function adminAnswer(admin: Asked, path: string): Promise<string | Unanswered> {
  const where = `Envoy at \`${admin.text}\``;
  try {
    const { status, body, fault } = await httpExchange(new URL(path, admin.url), {
      maxBytes: MAX_BYTES,
      signal: AbortSignal.timeout(admin.timeoutMs),
      ...(admin.socketPath === null ? {} : { socketPath: admin.socketPath }),
    });
    const asked = `${where} answered ${path.split('?')[0] ?? ''}`;
    if (fault === 'too-long') return { problem: `${asked} with more than ${MAX_BYTES} bytes`, mayHide: true };
    if (fault !== null) return { problem: `${asked} compressed, which it was not asked for`, mayHide: true };
    if (status !== 200)
      return { problem: `${asked} with ${status}: is this its admin address?`, mayHide: !WITHOUT.has(status) };
    return body.toString('utf8');
  } catch (error) {
    const problem = `${where} did not answer: ${failureWords(error)}; name its admin address with --envoy`;
    return { problem, mayHide: true };
  }
}

/** Numbers of `NAME: VALUE` lines. */
const statsFrom = (text: string): ReadonlyMap<string, number> =>
  new Map(
    text.split('\n').flatMap((line): readonly (readonly [string, number])[] => {
      const split = line.lastIndexOf(': ');
      const value = line.slice(split + 2);
      return split < 1 || !/^\d+$/.test(value) ? [] : [[line.slice(0, split), Number(value)]];
    }),
  );

const runtimeFrom = (runtime: unknown): ReadonlyMap<string, string> =>
  new Map(membersAt(runtime, 'entries').map(([key, entry]) => [key, textAt(entry, 'final_value')]));

const hostsFrom = (clusters: unknown): ReadonlyMap<string, readonly HostStatus[]> =>
  new Map(
    listAt(clusters, 'cluster_statuses').map((cluster) => [
      textAt(cluster, 'name'),
      listAt(cluster, 'host_statuses').map(hostFrom),
    ]),
  );

function hostFrom(host: unknown): HostStatus {
  const statOf = (name: string): number =>
    numberAt(
      listAt(host, 'stats').find((stat) => textAt(stat, 'name') === name),
      'value',
    ) ?? 0;
  const health = at(host, 'health_status');
  const eds = textAt(health, 'eds_health_status');
  const isFailed = ['failed_active_health_check', 'failed_outlier_check', 'failed_active_degraded_check'].some((name) =>
    isTrueAt(health, name),
  );
  return {
    address: addressOf(at(host, 'address')),
    isHealthy: !isFailed && (eds === '' || eds === 'HEALTHY' || eds === 'DEGRADED'),
    active: statOf('cx_active'),
    connectFailures: statOf('cx_connect_fail'),
    requests: statOf('rq_total'),
  };
}

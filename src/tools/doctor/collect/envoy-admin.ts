import { failureWords, httpExchange } from '../../../core/runtime/system/http-exchange.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import { configFromDump } from '../envoy/envoy-config.ts';
import type { EnvoyConfig } from '../envoy/envoy-config.ts';
import type { HostStatus, NamedFile } from '../envoy/envoy-facts.ts';
import { addressOf } from '../envoy/reach/cluster.ts';
import type { BundlePart, Collected } from '../facts.ts';
import { counted } from '../counted.ts';
import { redacted } from '../redacted.ts';
import { at, listAt, membersAt, numberAt, textAt } from '../tree.ts';
import type { AdminAddress } from './admin-address.ts';
import { namedFilesOf } from './named-files.ts';
import { envoyUserOf } from './envoy-user.ts';
import { socketFactsOf } from './socket-facts.ts';

/** Longest answer that is read: the configuration of an Envoy of 10,000 routes is about 50 MB. */
const MAX_BYTES = 134_217_728;
/** Time for one answer. A configuration of 50 MB takes Envoy some seconds. */
const TIMEOUT_MS = 30_000;
const STATS = 'ext_authz|downstream_rq_(2xx|completed)|downstream_cx_total|control_plane|update_rejected';

/** A query to Envoy's admin interface. */
export interface EnvoyQuery {
  /** Candidate addresses, at least one: the first at which an Envoy answers counts. */
  readonly admins: readonly AdminAddress[];
  /** The cluster of Remit, if the operator named it. */
  readonly remitCluster: string | null;
}

/** Reads configuration, statistics and endpoints of a running Envoy from its admin interface. */
export async function collectEnvoy({ admins, remitCluster }: EnvoyQuery): Promise<Collected> {
  const problems: Problem[] = [];
  for (const admin of admins) {
    const version = await versionAt(admin);
    if (typeof version === 'string') return read(admin, version, remitCluster);
    problems.push(version);
  }
  const [only] = problems;
  if (only !== undefined && problems.length === 1) return unread(only);
  const tried = admins.map(({ text }) => text).join(', ');
  return unread({ problem: `no Envoy answers at ${tried}: name its admin address with --envoy` });
}

/** The version of the Envoy at an address, such as `1.40.0`. */
async function versionAt(admin: AdminAddress): Promise<string | Problem> {
  const info = await jsonOf(admin, '/server_info');
  if (isProblem(info)) return info;
  const version = /^[^/]*\/([^/]+)\//.exec(textAt(info, 'version'))?.[1];
  return version ?? { problem: `\`${admin.text}\` answered, but it is not the admin interface of an Envoy` };
}

async function read(admin: AdminAddress, version: string, remitCluster: string | null): Promise<Collected> {
  const [dump, clusters, stats, runtime] = await Promise.all([
    jsonOf(admin, '/config_dump?include_eds'),
    jsonOf(admin, '/clusters?format=json'),
    adminAnswer(admin, `/stats?filter=${encodeURIComponent(STATS)}`),
    // An admin interface with `allow_paths` may not have it.
    jsonOf(admin, '/runtime'),
  ]);
  for (const answer of [dump, clusters, stats]) if (isProblem(answer)) return unread(answer);
  const config = configFromDump(dump);
  const user = envoyUserOf(admin);
  const files = user === null ? new Map<string, NamedFile>() : await namedFilesOf(config);
  const live = {
    version,
    stats: statsFrom(typeof stats === 'string' ? stats : ''),
    runtime: runtimeFrom(runtime),
    hosts: hostsFrom(clusters),
    user,
    adminAddress: admin.endpoint,
  };
  const parts: readonly BundlePart[] = [
    { name: 'envoy-config-dump.json', text: JSON.stringify(redacted(dump)) },
    { name: 'envoy-clusters.json', text: JSON.stringify(redacted(clusters)) },
    { name: 'envoy-stats.txt', text: typeof stats === 'string' ? stats : '' },
  ];
  return {
    facts: { envoys: [{ prefix: '', config, live, sockets: socketFactsOf(pathsOf(config)), files, remitCluster }] },
    examined: [
      `Envoy ${version} at ${admin.text}: ${counted(config.listeners.length, 'listener')}, ${counted(config.clusters.size, 'cluster')}`,
    ],
    unread: [],
    parts,
  };
}

const unread = ({ problem }: Problem): Collected => ({ facts: {}, examined: [], unread: [problem], parts: [] });

/** Paths of the Unix sockets among the endpoints. */
const pathsOf = ({ clusters }: EnvoyConfig): readonly string[] =>
  [...clusters.values()].flatMap(({ endpoints }) =>
    endpoints.filter((one) => one.startsWith('unix:/')).map((one) => one.slice('unix:'.length)),
  );

async function jsonOf(admin: AdminAddress, path: string): Promise<unknown> {
  const text = await adminAnswer(admin, path);
  if (typeof text !== 'string') return text;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return { problem: `\`${admin.text}\` answered, but it is not the admin interface of an Envoy` };
  }
}

/** The text of one answer, or why there is none. */
async function adminAnswer(admin: AdminAddress, path: string): Promise<string | Problem> {
  const where = `Envoy at \`${admin.text}\``;
  try {
    const { status, body, fault } = await httpExchange(new URL(path, admin.url), {
      maxBytes: MAX_BYTES,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(admin.socketPath === null ? {} : { socketPath: admin.socketPath }),
    });
    const asked = path.split('?')[0] ?? '';
    if (fault !== null) return { problem: `${where} answered ${asked} with more than ${MAX_BYTES} bytes` };
    if (status !== 200) return { problem: `${where} answered ${asked} with ${status}: is this its admin address?` };
    return body.toString('utf8');
  } catch (error) {
    return {
      problem: `${where} did not answer: ${failureWords(error)}; name its admin address with --envoy`,
    };
  }
}

/** Numbers of `NAME: VALUE` lines. */
const statsFrom = (text: string): ReadonlyMap<string, number> =>
  new Map(
    text.split('\n').flatMap((line): readonly (readonly [string, number])[] => {
      const split = line.lastIndexOf(': ');
      const value = Number(line.slice(split + 2));
      return split === -1 || !Number.isFinite(value) ? [] : [[line.slice(0, split), value]];
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
  const isFailed = ['failed_active_health_check', 'failed_outlier_check', 'failed_active_degraded_check'].some(
    (name) => at(health, name) === true,
  );
  return {
    address: addressOf(at(host, 'address')),
    isHealthy: !isFailed && (eds === '' || eds === 'HEALTHY' || eds === 'DEGRADED'),
    active: statOf('cx_active'),
    connectFailures: statOf('cx_connect_fail'),
    requests: statOf('rq_total'),
  };
}

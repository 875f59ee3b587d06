import { cpus, release } from 'node:os';
import { execFileSync } from 'node:child_process';
import { ENVOY_VERSION } from '../../src/dev/envoy-binary.ts';
import { budgets } from './budgets.ts';
import { names } from './contenders.ts';
import { roles } from './cost-contenders.ts';
import { costRows } from './cost-table.ts';
import { atRate } from './fixed-rate.ts';
import { sidecarReuse } from './fleet-reuse.ts';
import { goModuleVersions } from './go-servers.ts';
import { issuerFlood } from './issuer-flood.ts';
import { NEIGHBOUR, NEIGHBOUR_TAIL, SOCKET_NEIGHBOUR } from './neighbour.ts';
import { observing } from './observe.ts';
import { overload, RECOVERY } from './overload.ts';
import { POLICIES_CONTENDER, withPolicies } from './policies.ts';
import { medianOf } from './results.ts';
import type { Measure, Results, Series } from './results.ts';
import { anonymous, resident } from './memory-cost.ts';
import { SOCKET_GOODPUT } from './socket-overload.ts';
import { beside, roleNames } from './roles.ts';
import { COMMAND, INSTALLED, starts } from './start-cost.ts';
import { addedToShortTasks, shortTasks } from './short-tasks.ts';
import { median } from './statistics.ts';
import { table } from './table.ts';
import { residentWith, restingWith } from './tasks.ts';
import { scenarios } from './throughput.ts';

/** Comparisons by name: throughput through Envoy, where more is better, then latency and cost, where less is better. */
export function ratiosOf(results: Results): Readonly<Record<string, number>> {
  const { reuse, cold } = scenarios;
  const rate = (of: readonly [string, string], to: readonly [string, string]): number =>
    results.ratio('requestsPerSecond', of, to);
  const remit = [names.remit, reuse] as const;
  const atSpeed = (measure: Measure, perSecond: number, of: string = names.opa): number =>
    results.latencyRatio(measure, [names.remit, atRate(perSecond)], [of, atRate(perSecond)]);
  // Processor time counts even where a check was late.
  const manyOverFew = (kind: 'hit' | 'miss'): number =>
    results.ratio(
      'cpuUs',
      [POLICIES_CONTENDER, withPolicies(10_000)[kind]],
      [POLICIES_CONTENDER, withPolicies(10)[kind]],
    );
  return {
    reuse_vs_noop_grpcjs: rate(remit, [names.grpcJs, reuse]),
    reuse_vs_opa_jwt: rate(remit, [names.opa, reuse]),
    cold_vs_opa_jwt: rate([names.remit, cold], [names.opa, cold]),
    reuse_vs_opa_envoy: rate(remit, [names.opaPlugin, reuse]),
    cold_vs_opa_envoy: rate([names.remit, cold], [names.opaPlugin, cold]),
    reuse_vs_noop_go: rate(remit, [names.go, reuse]),
    reuse_vs_floor: rate(remit, [names.floor, reuse]),
    budgets_vs_unbudgeted: rate(budgets.embedded.with, budgets.embedded.without),
    budgets_vs_unbudgeted_sidecar: rate(budgets.sidecar.with, budgets.sidecar.without),
    observe_vs_enforce: rate(observing.allowed, observing.enforced),
    observe_denied_vs_enforce: rate(observing.denied, observing.enforced),
    observe_unknown_vs_enforce: rate(observing.unknown, observing.enforced),
    short_tasks_per_second: results.median(...shortTasks.embedded, 'requestsPerSecond'),
    short_tasks_per_second_sidecar: results.median(...shortTasks.sidecar, 'requestsPerSecond'),
    short_tasks_added_ms: results.figure(addedToShortTasks.embedded),
    short_tasks_added_ms_sidecar: results.figure(addedToShortTasks.sidecar),
    budgets_p99_vs_unbudgeted: results.latencyRatio('p99Ms', budgets.embedded.with, budgets.embedded.without),
    budgets_p99_vs_unbudgeted_sidecar: results.latencyRatio('p99Ms', budgets.sidecar.with, budgets.sidecar.without),
    p50_vs_opa_jwt_1k: atSpeed('p50Ms', 1_000),
    p99_vs_opa_jwt_1k: atSpeed('p99Ms', 1_000),
    p99_vs_opa_jwt_2k: atSpeed('p99Ms', 2_000),
    p50_vs_opa_envoy_1k: atSpeed('p50Ms', 1_000, names.opaPlugin),
    p99_vs_opa_envoy_1k: atSpeed('p99Ms', 1_000, names.opaPlugin),
    p99_vs_opa_envoy_2k: atSpeed('p99Ms', 2_000, names.opaPlugin),
    policies_10k_vs_10_hit: manyOverFew('hit'),
    policies_10k_vs_10_miss: manyOverFew('miss'),
    recorded_vs_unrecorded_cost: results.ratio('cpuUs', remit, [names.unrecorded, reuse]),
    rss_mb_100k: results.figure(residentWith(100_000)),
    rss_mb_100k_at_rest: results.figure(restingWith(100_000)),
    overload_goodput: rate(overload.during, overload.capacity),
    overload_recovery_seconds: results.figure(RECOVERY),
    overload_neighbour: results.figure(NEIGHBOUR),
    overload_neighbour_p99: results.figure(NEIGHBOUR_TAIL),
    overload_goodput_at_socket: results.figure(SOCKET_GOODPUT),
    overload_neighbour_at_socket: results.figure(SOCKET_NEIGHBOUR),
    issuer_flood_p50: results.latencyRatio('p50Ms', issuerFlood.beside, issuerFlood.without),
    sidecar_vs_embedded_reuse: rate(sidecarReuse.sidecar, sidecarReuse.embedded),
    sidecar_vs_embedded_cost: results.ratio('cpuUs', sidecarReuse.sidecar, sidecarReuse.embedded),
    sidecar_rss_mb: results.costs.median(roles.sidecar, resident('idle')),
    sidecar_anonymous_mb: results.costs.median(roles.sidecar, anonymous('idle')),
    authority_rss_mb: results.costs.median(roles.authority, resident('idle')),
    start_ready_seconds: results.costs.median(roles.sidecar, starts.again),
    installed_mb: results.costs.median(COMMAND, INSTALLED),
    issuer_flood_p99: results.latencyRatio('p99Ms', issuerFlood.beside, issuerFlood.without),
    ...Object.fromEntries(
      roleNames.map((role) => [`beside_${role}_p99`, results.latencyRatio('p99Ms', beside(role).on, beside(role).off)]),
    ),
  };
}

/** The machine and the versions of a run. */
export function conditions(): Readonly<Record<string, string>> {
  const [cpu, ...others] = cpus();
  return {
    cpu: `${others.length + 1} x ${cpu?.model ?? 'unknown'}`,
    kernel: release(),
    node: process.version,
    envoy: ENVOY_VERSION,
    wrk: firstLine('wrk -v').split(' Copyright')[0] ?? '',
    h2load: firstLine('h2load --version'),
    go: firstLine('go version'),
    ...goModuleVersions(),
  };
}

/** The version that a program prints. wrk exits with another code than 0. */
const firstLine = (shell: string): string =>
  execFileSync('/bin/sh', ['-c', `${shell} 2>&1 || true`], { encoding: 'utf8' }).split('\n')[0] ?? '';

/** All results as one object, rounded to four digits; null where not measured. */
export function resultObject(results: Results): object {
  return {
    conditions: conditions(),
    series: results.series.map(mediansOf),
    figures: results.figures.map((figure) => ({ ...figure, value: rounded(figure.value) })),
    costs: results.costs.all.map(({ values, ...cost }) => ({
      ...cost,
      median: rounded(median(values)),
      values: values.map(rounded),
    })),
    ratios: Object.fromEntries(Object.entries(ratiosOf(results)).map(([name, value]) => [name, rounded(value)])),
  };
}

const mediansOf = (series: Series): object => ({
  contender: series.contender,
  scenario: series.scenario,
  rounds: series.runs.length,
  requestsPerSecond: rounded(medianOf(series, 'requestsPerSecond')),
  p50Ms: rounded(medianOf(series, 'p50Ms')),
  p99Ms: rounded(medianOf(series, 'p99Ms')),
  p999Ms: rounded(medianOf(series, 'p999Ms')),
  cpuUs: rounded(medianOf(series, 'cpuUs')),
  failed: series.runs.reduce((sum, run) => sum + run.failed, 0),
});

const rounded = (value: number): number | null => (Number.isFinite(value) ? Number(value.toPrecision(4)) : null);

/** The results as Markdown tables. */
export function tables(results: Results): string {
  const rows = results.series.map((series) => {
    const failed = series.runs.reduce((sum, run) => sum + run.failed, 0);
    const fixed = (measure: Measure, digits: number): string => shown(medianOf(series, measure), digits);
    return [
      series.scenario,
      series.contender,
      fixed('requestsPerSecond', 0),
      fixed('p50Ms', 2),
      fixed('p99Ms', 2),
      fixed('p999Ms', 2),
      fixed('cpuUs', 0),
      String(failed),
    ];
  });
  const figures = results.figures.map(({ name, value, unit }) => [name, shown(value, value < 100 ? 2 : 0), unit]);
  const ratios = Object.entries(ratiosOf(results)).map(([name, value]) => [`\`${name}\``, shown(value, 2)]);
  const [contenders = [], ...costs] = costRows(results.costs);
  const all: readonly (readonly [head: readonly string[], rows: readonly (readonly string[])[]])[] = [
    [['scenario', 'contender', 'requests/s', 'p50 ms', 'p99 ms', 'p99.9 ms', 'CPU us', 'failed'], rows],
    [['figure', 'value', 'unit'], figures],
    [contenders, costs],
    [['ratio', 'value'], ratios.filter(([, value]) => value !== UNMEASURED)],
  ];
  return all.flatMap(([head, body]) => (body.length === 0 ? [] : [table(head, body)])).join('\n');
}

const UNMEASURED = '-';

const shown = (value: number, digits: number): string => (Number.isFinite(value) ? value.toFixed(digits) : UNMEASURED);

import type { Finding } from '../../finding.ts';
import { adminAddressIn, answersAllPaths, isScrape } from '../admin-interface.ts';
import { isForwarding } from '../asked.ts';
import type { EnvoyCheck } from '../envoy-check.ts';
import type { EnvoyFacts } from '../envoy-facts.ts';
import { runtimeFaults, staticLayersOf } from '../fields/bootstrap-fields.ts';
import { reachedClusters } from './reached-clusters.ts';
import { askingsOf, managersOf } from '../remit-filter.ts';
import type { Asking } from '../remit-filter.ts';
import { at, isFalse, isTrue, isTrueAt, numberAt, textAt } from '../../tree.ts';
import { shareOf } from '../values.ts';

/** No listener leads to the admin interface, but for what a scraper reads. */
export const closedAdmin: EnvoyCheck = {
  title: 'no listener leads to the admin interface, but to its metrics',
  run: (facts) => {
    const address = facts.live?.adminAddress ?? adminAddressIn(facts.config);
    if (address === null) return null;
    return [...routesTo(address, facts), ...anyPath(facts)];
  },
};

function routesTo(address: string, facts: EnvoyFacts): readonly Finding[] {
  const known = new Set([address, adminAddressIn(facts.config) ?? address].map(onThisHost));
  const leads = (names: readonly string[]): boolean =>
    reachedClusters(names, facts.config).some((name) =>
      (facts.config.clusters.get(name)?.endpoints ?? []).some((endpoint) => known.has(onThisHost(endpoint))),
    );
  const message = 'it leads to the admin interface: callers can stop Envoy, change runtime keys and read what passes';
  const fix = 'remove it, or match the exact paths that are scraped: `path: /stats/prometheus`, `path: /ready`';
  const routes = managersOf(facts).flatMap((manager) =>
    manager.routes
      .filter((route) => isForwarding(route) && !isScrape(route.match, route.action) && leads(route.clusters))
      .map((route) => `${manager.where}/route/${route.where}`),
  );
  const proxies = facts.config.listeners.flatMap(({ chains }) =>
    chains.filter(({ tcpClusters }) => leads(tcpClusters)).map(({ where }) => where),
  );
  return [...routes, ...proxies].map((where) => ({ code: 'envoy.admin-open', where, message, fix }));
}

/** An address with `localhost` for each name of this host. An interface at all addresses (`0.0.0.0`) is reached by loopback too. */
const onThisHost = (address: string): string =>
  address.replace(/^(?:127(?:\.\d{1,3}){3}|0\.0\.0\.0|\[::1?\]|localhost):/i, 'localhost:');

const anyPath = ({ config }: EnvoyFacts): readonly Finding[] =>
  answersAllPaths(config)
    ? [
        {
          code: 'envoy.admin-open',
          where: 'envoy',
          level: 'info',
          message: 'the admin interface answers every path, also those that change Envoy',
          fix: 'set `admin.allow_paths` to what is read: `/stats`, `/ready`, `/config_dump`, `/clusters`, `/server_info`',
        },
      ]
    : [];

/** Nothing switches the check off, or changes how paths are read, while Envoy runs. */
export const steadyRuntime: EnvoyCheck = {
  title: 'no runtime key switches the check off or changes how calls are read',
  run: (facts) => {
    const layers = layersOf(facts);
    if (layers.length === 0) return null;
    return [
      ...layers.flatMap(([name, layer]) =>
        runtimeFaults(layer).map(([key, level, message]): Finding => ({
          code: 'envoy.runtime',
          where: `envoy/runtime/${name}`,
          level,
          message: `\`${key}\`: ${message}`,
          fix: 'remove the key',
        })),
      ),
      ...askingsOf(facts).flatMap((asking) => switchedOff(asking, facts)),
    ];
  },
};

/** The runtime layers: of a running Envoy one layer with the final values, of a file those of its bootstrap. */
const layersOf = ({ config, live }: EnvoyFacts): ReturnType<typeof staticLayersOf> => {
  const written = staticLayersOf(config.bootstrap);
  return live === null || live.runtime.size === 0 ? written : [['in-force', Object.fromEntries(live.runtime)]];
};

/** Calls that pass unchecked because a runtime key lowers the share of `filter_enabled`, or switches off `deny_at_disable`. */
function switchedOff({ filter, manager }: Asking, facts: EnvoyFacts): readonly Finding[] {
  const [enabled, denial] = [at(filter.fields, 'filter_enabled'), at(filter.fields, 'deny_at_disable')];
  const [key, denyKey] = [textAt(enabled, 'runtime_key'), textAt(denial, 'runtime_key')];
  const isMeant = isTrueAt(denial, 'default_value');
  const denials = valuesOf(denyKey, facts);
  if (isMeant ? !denials.some(isFalse) : denials.some(isTrue)) return [];
  const [atRuntime = null] = valuesOf(key, facts).flatMap((value) => shareIn(value) ?? []);
  // Without a key of its own the share is `envoy.sampled`, unless the others were to be denied.
  const share = atRuntime ?? (isMeant && enabled !== undefined ? shareOf(at(enabled, 'default_value')) : null);
  if (share === null || share >= 1) return [];
  const percent = Number((share * 100).toFixed(4));
  return [
    {
      code: 'envoy.runtime',
      where: manager.where,
      message: isMeant
        ? `the runtime key \`${denyKey}\` of \`deny_at_disable\` is off, and \`filter_enabled\` is ${percent} %: the other calls pass unchecked`
        : `the runtime key \`${key}\` of \`filter_enabled\` is ${percent} %: the other calls pass unchecked`,
      fix: 'remove `filter_enabled` from the filter, and the key',
    },
  ];
}

/** At most one value of a runtime key: of the running Envoy, which shows no fractions, else of the last layer that has it. */
function valuesOf(key: string, { config, live }: EnvoyFacts): readonly unknown[] {
  if (key === '') return [];
  const written = staticLayersOf(config.bootstrap).flatMap(([, layer]) => at(layer, key) ?? []);
  return [live?.runtime.get(key), written.at(-1)].filter((value) => value !== undefined && value !== '').slice(0, 1);
}

/** The share that a runtime value says: a percentage, or a fraction. `null` if it is neither. */
function shareIn(value: unknown): number | null {
  const percent = numberAt(value);
  if (percent !== null) return percent / 100;
  return ['numerator', 'denominator'].some((name) => at(value, name) !== undefined) ? shareOf(value) : null;
}

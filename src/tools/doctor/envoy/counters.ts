import { textAt } from '../tree.ts';
import type { Finding } from '../finding.ts';
import type { EnvoyCheck } from './envoy-check.ts';
import type { EnvoyLive } from './envoy-facts.ts';
import { askingsOf } from './remit-filter.ts';
import type { Asking } from './remit-filter.ts';

/** What Envoy has counted agrees with what it is configured to do. */
export const goodCounters: EnvoyCheck = {
  title: 'no check has failed, and no call has passed in spite of that',
  run: (facts) => {
    const { live } = facts;
    const askings = askingsOf(facts);
    return live === null || askings.length === 0 ? null : askings.flatMap((asking) => counted(asking, live));
  },
};

function counted({ filter, manager }: Asking, { stats }: EnvoyLive): readonly Finding[] {
  const own = textAt(filter.fields, 'stat_prefix');
  const prefix = `http.${textAt(manager.fields, 'stat_prefix')}.ext_authz.${own === '' ? '' : `${own}.`}`;
  const of = (name: string): number => stats.get(`${prefix}${name}`) ?? 0;
  if (!['ok', 'denied', 'error'].some((name) => stats.has(`${prefix}${name}`)))
    return [
      {
        code: 'envoy.unseen',
        where: manager.where,
        level: 'warning',
        message: 'Envoy shows no counter of its checks, so those that failed or passed unchecked are not seen',
        fix: 'let `stats_matcher` keep `ext_authz`; Istio: `proxyStatsMatcher` with `inclusionRegexps: [.*ext_authz.*]`',
      },
    ];
  const [passed, failed, answered] = [of('failure_mode_allowed'), of('error'), of('ok') + of('denied')];
  const found: Finding[] = [];
  if (passed > 0)
    found.push({
      code: 'envoy.passed-unchecked',
      where: manager.where,
      message: `${passed} calls have passed since Envoy started although their check failed`,
      fix: 'set `failure_mode_allow: false`, and look for them among the findings of the ledger: `remit ledger query`',
    });
  if (failed > 0)
    found.push({
      code: 'envoy.checks-failed',
      where: manager.where,
      level: answered === 0 ? 'error' : 'info',
      message: `${failed} checks have failed since Envoy started, and ${answered} were answered`,
      fix: 'look at the other findings, then at `remit_checks_total` and the log of Remit; timeouts count too',
    });
  return found;
}

/** Envoy is recent and took its configuration. */
export const soundEnvoy: EnvoyCheck = {
  title: 'Envoy is a version without known holes and took its whole configuration',
  run: ({ config, live }) =>
    live === null
      ? null
      : [
          ...oldVersion(live.version ?? ''),
          ...config.refused.map(({ message, where }) => ({
            code: 'envoy.config-refused' as const,
            where,
            message: `Envoy refused what its control plane sent, and runs with what it had before: ${message.slice(0, 300)}`,
            fix: 'correct the configuration that the message names',
          })),
        ],
};

/** The first patch of each line without known holes in ext_authz and TLS. */
const FLOOR: Readonly<Record<string, number>> = { '1.36': 10, '1.37': 6, '1.38': 4, '1.39': 1 };

function oldVersion(version: string): readonly Finding[] {
  const [, major = '', minor = '', patch = ''] = /^(\d+)\.(\d+)\.(\d+)/.exec(version) ?? [];
  if (major === '') return [];
  const floor = FLOOR[`${major}.${minor}`];
  const isOld = floor === undefined ? major === '1' && Number(minor) < 36 : Number(patch) < floor;
  return isOld
    ? [
        {
          code: 'envoy.old-version',
          where: 'envoy',
          message: `Envoy ${version} has known holes in ext_authz or TLS`,
          fix: 'use at least 1.36.10, 1.37.6, 1.38.4, 1.39.1 or 1.40.0',
        },
      ]
    : [];
}

import { at, listAt, textAt } from '../tree.ts';
import type { Finding } from '../finding.ts';
import type { EnvoyCheck } from './envoy-check.ts';
import type { HttpFilter } from './http-manager.ts';
import { ofAskings } from './remit-filter.ts';
import type { Asking } from './remit-filter.ts';
import { shareOf } from './values.ts';

const BY_CERTIFICATE =
  'take the filter `envoy.filters.http.local_ratelimit` of deploy/envoy/envoy.yaml, with its expression as the key';

/** One agent cannot use up the checks of the others. */
export const agentLimit: EnvoyCheck = {
  title: 'the calls of each agent are bounded before Remit is asked',
  run: (facts) => ofAskings(facts, limitBefore),
};

/** Both shares are 0 by default: without `filter_enabled` Envoy skips the limit, and without `filter_enforced` it only counts. */
const isEnforced = ({ fields }: HttpFilter): boolean =>
  ['filter_enabled', 'filter_enforced'].every((name) => shareOf(at(fields, name, 'default_value')) > 0);

function limitBefore({ filter, manager: { filters, where } }: Asking): readonly Finding[] {
  const limits = filters
    .slice(0, filters.indexOf(filter))
    .filter((limit) => limit.type === 'LocalRateLimit' && !limit.isDisabled && isEnforced(limit));
  if (limits.length === 0)
    return [
      {
        code: 'envoy.no-agent-limit',
        where,
        message:
          'no local rate limit comes before the check, so only `extAuthz.maxChecksPerSecondPerAgent` bounds an agent in a loop',
        fix: BY_CERTIFICATE,
      },
    ];
  const literal = limits
    .flatMap(({ fields }) => listAt(fields, 'rate_limits'))
    .flatMap((limit) => listAt(limit, 'actions'))
    .map((action) => textAt(action, 'generic_key', 'descriptor_value'))
    .find((value) => value.includes('%'));
  return literal === undefined
    ? []
    : [
        {
          code: 'envoy.shared-agent-limit',
          where,
          message: `the key \`${literal}\` of the rate limit is a literal text to Envoy, so all agents share one bucket`,
          fix: BY_CERTIFICATE,
        },
      ];
}

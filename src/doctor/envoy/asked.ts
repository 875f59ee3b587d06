import type { EnvoyCheck } from './envoy-check.ts';
import { managersOf, remitClustersOf, remitFiltersOf } from './remit-filter.ts';

/** Each connection manager that forwards calls asks Remit. */
export const neverAsked: EnvoyCheck = {
  title: 'every HTTP listener that forwards calls has the ext_authz filter of Remit',
  run: (facts) => {
    const clusters = remitClustersOf(facts);
    const forwarding = managersOf(facts).filter(({ routes }) => routes.some((route) => route.clusters.length > 0));
    if (forwarding.length === 0) return null;
    return forwarding
      .filter((manager) => remitFiltersOf(manager, clusters).length === 0)
      .map(({ where }) => ({
        code: 'envoy.never-asked' as const,
        where,
        message: 'it has no ext_authz filter that asks Remit, so its calls reach the upstream unchecked',
        fix: 'add the filter `envoy.filters.http.ext_authz` of deploy/envoy/envoy.yaml before the router',
      }));
  },
};

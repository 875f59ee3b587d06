import type { EnvoyCheck } from './envoy-check.ts';
import { managersOf } from './remit-filter.ts';

/** The status of routes whose policies Envoy Gateway could not apply. */
const REFUSED = 500;

/** The control plane has not disabled any route. */
export const noRefusedRoute: EnvoyCheck = {
  title: 'the control plane could apply the policies of every route',
  run: (facts) => {
    // Envoy Gateway's own listener for readiness answers 500 to everything but health checks.
    const managers = managersOf(facts).filter(
      ({ filters, routes }) => routes.length > 0 && !filters.some(({ type }) => type === 'HealthCheck'),
    );
    if (managers.length === 0) return null;
    return managers.flatMap(({ routes, where }) =>
      routes
        .filter(({ directStatus }) => directStatus === REFUSED)
        .map((route) => ({
          code: 'envoy.bad-provider' as const,
          where: `${where}/route/${route.where}`,
          message:
            'Envoy answers every call of this route with 500: so Envoy Gateway does if the Backend of a SecurityPolicy is missing or misnamed',
          fix: 'look at the conditions of the SecurityPolicy, and let its `backendRefs` name a Backend that exists',
        })),
    );
  },
};

import type { Server } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { AUTHORIZATION_SERVICE } from './proto.ts';

/** The names a health check may ask for: the whole server, and the service Envoy's cluster names. */
export const HEALTH_SERVICES: readonly string[] = ['', AUTHORIZATION_SERVICE];

/**
 * Adds the gRPC health service to a server, not serving until told otherwise.
 *
 * @returns a function that says whether the server serves; watchers hear of it at once
 * @see https://github.com/grpc/grpc/blob/master/doc/health-checking.md
 */
export function addHealth(server: Server): (isServing: boolean) => void {
  const health = new HealthImplementation();
  const set = (isServing: boolean) => {
    for (const service of HEALTH_SERVICES) health.setStatus(service, isServing ? 'SERVING' : 'NOT_SERVING');
  };
  set(false);
  health.addToServer(server);
  return set;
}

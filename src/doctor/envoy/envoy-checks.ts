import type { Check } from '../check.ts';
import type { Finding } from '../finding.ts';
import { alwaysAsked, askedOnce, askedOnEachRoute, neverAsked } from './asked.ts';
import { goodCounters, soundEnvoy } from './counters.ts';
import type { EnvoyCheck } from './envoy-check.ts';
import { boundedCheck, completeCheck, failsClosed, strictAnswers } from './filter-strength.ts';
import { knownProvider, unconditional } from './istio-rules.ts';
import { oneReading, ownXfcc, seenCalls, verifiedCaller } from './listener-strength.ts';
import { noOtherPath, unchangedCall } from './other-paths.ts';
import { healthyEndpoints, usableCluster } from './reach.ts';
import { noRefusedRoute } from './refused-routes.ts';
import { openSocket } from './socket.ts';

const perEnvoy: readonly EnvoyCheck[] = [
  neverAsked,
  askedOnEachRoute,
  alwaysAsked,
  unconditional,
  askedOnce,
  noOtherPath,
  unchangedCall,
  knownProvider,
  noRefusedRoute,
  usableCluster,
  openSocket,
  healthyEndpoints,
  failsClosed,
  goodCounters,
  boundedCheck,
  completeCheck,
  strictAnswers,
  verifiedCaller,
  ownXfcc,
  oneReading,
  seenCalls,
  soundEnvoy,
];

/** The checks of what Envoy is configured to do and does. */
export const envoyChecks: readonly Check[] = perEnvoy.map(({ run, title }) => ({
  category: 'envoy',
  title,
  run: ({ envoys }) => {
    const found = envoys.map((facts) => run(facts)?.map((one) => placed(one, facts.prefix)) ?? null);
    return found.every((one) => one === null) ? null : found.flatMap((one) => one ?? []);
  },
}));

const placed = (finding: Finding, prefix: string): Finding => ({ ...finding, where: `${prefix}${finding.where}` });

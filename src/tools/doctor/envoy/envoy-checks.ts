import type { Check } from '../check.ts';
import type { Facts } from '../facts.ts';
import type { Finding } from '../finding.ts';
import { closedAdmin, steadyRuntime } from './reach/admin-reach.ts';
import { agentLimit } from './agent-limit.ts';
import { alwaysAsked, askedOnce, askedOnEachRoute, neverAsked } from './asked.ts';
import { beforeAuthority } from './before-authority.ts';
import { acceptedDomains, commonDomain, verifiedCaller } from './reach/caller-tls.ts';
import { everyCallRouted } from './catch-all.ts';
import { ownControlPlane } from './reach/control-plane.ts';
import { goodCounters, soundEnvoy } from './counters.ts';
import type { EnvoyCheck } from './envoy-check.ts';
import type { EnvoyFacts } from './envoy-facts.ts';
import { boundedCheck, completeCheck, failsClosed, strictAnswers } from './filter-strength.ts';
import { knownFilters } from './filter-order.ts';
import {
  knownBeside,
  knownBootstrap,
  knownCheck,
  knownCluster,
  knownListener,
  knownRoutes,
  knownUpstreams,
} from './guarded-fields.ts';
import { noImpostor } from './reach/impostor.ts';
import { knownProvider, unconditional } from './istio-rules.ts';
import { oneReading, ownXfcc, seenCalls } from './listener-strength.ts';
import { noOtherPath, unchangedCall } from './other-paths.ts';
import { foreignCas, ownFiles } from './own-files.ts';
import { healthyEndpoints, usableCluster } from './reach/reach.ts';
import { noRefusedRoute } from './refused-routes.ts';
import { noRequestTrailers } from './request-trailers.ts';
import { shortStreams } from './short-streams.ts';
import { openSocket } from './reach/socket.ts';
import { forwardedDomains, serversBehind, togetherFindings } from './with-remit.ts';
import { managersOf } from './remit-filter.ts';
import { enforcedCallsOf, whileObserved } from '../observed.ts';

const perEnvoy: readonly EnvoyCheck[] = [
  askedOnEachRoute,
  alwaysAsked,
  everyCallRouted,
  unconditional,
  askedOnce,
  noOtherPath,
  knownBeside,
  unchangedCall,
  knownFilters,
  knownRoutes,
  knownUpstreams,
  noImpostor,
  knownCluster,
  knownCheck,
  knownListener,
  knownBootstrap,
  ownControlPlane,
  ownFiles,
  closedAdmin,
  steadyRuntime,
  knownProvider,
  noRefusedRoute,
  usableCluster,
  openSocket,
  healthyEndpoints,
  failsClosed,
  goodCounters,
  boundedCheck,
  agentLimit,
  completeCheck,
  strictAnswers,
  verifiedCaller,
  ownXfcc,
  oneReading,
  noRequestTrailers,
  seenCalls,
  soundEnvoy,
];

/** The checks of what Envoy is configured to do and does. */
export const envoyChecks: readonly Check[] = [
  check(neverAsked.title, (facts, { remit }) => {
    const found = neverAsked.run(facts);
    return found === null ? null : beforeAuthority(found, facts, remit?.host ?? null);
  }),
  ...perEnvoy.map(({ run, title }) => check(title, (facts) => run(facts))),
  check('streams of MCP and A2A last as long as their tools', (facts, { remit }) =>
    shortStreams(facts, remit?.host?.policies?.streamed ?? []),
  ),
  check('Envoy and the Remit beside it are configured for each other', (facts, { remit }) =>
    togetherFindings(facts, remit?.host ?? null),
  ),
  check('Envoy verifies callers by the CAs that Remit has', (facts, { remit }) =>
    foreignCas(facts, remit?.host?.ownCas ?? null),
  ),
  check('Envoy accepts the trust domains that Remit accepts', (facts, { remit }) =>
    acceptedDomains(facts, remit?.host?.config.trustDomains ?? null),
  ),
  check('callers that Envoy lets in are of a trust domain that Remit accepts', (facts, { remit }) =>
    commonDomain(facts, remit?.host?.config.trustDomains ?? null),
  ),
];

function check(title: string, run: (facts: EnvoyFacts, all: Facts) => readonly Finding[] | null): Check {
  return {
    category: 'envoy',
    title,
    run: (all) => {
      const find = (facts: EnvoyFacts): readonly Finding[] | null =>
        run(facts, all)?.map((one) => placed(judged(one, facts, all), facts.prefix)) ?? null;
      const found = all.envoys.map((facts) => alsoNext(facts, find));
      return found.every((one) => one === null) ? null : found.flatMap((one) => one ?? []);
    },
  };
}

/** What is found in the configuration that is in force, and what else in the next, whose listeners and clusters warm. */
function alsoNext(
  facts: EnvoyFacts,
  find: (facts: EnvoyFacts) => readonly Finding[] | null,
): readonly Finding[] | null {
  const inForce = find(facts);
  const { next } = facts.config;
  const later = next === null ? null : find({ ...facts, config: next });
  if (inForce === null || later === null) return inForce ?? later;
  const known = new Set(inForce.map((one) => JSON.stringify(one)));
  return [...inForce, ...later.filter((one) => !known.has(JSON.stringify(one)))];
}

/** If all calls of a listener are observed, what lets them pass is a warning. */
function judged(finding: Finding, facts: EnvoyFacts, { remit }: Facts): Finding {
  // The place of a later filter chain begins with that of the first: `listener/a`, `listener/a/chain/1`.
  const [manager] = managersOf(facts)
    .filter(({ where }) => finding.where === where || finding.where.startsWith(`${where}/`))
    .toSorted((one, other) => other.where.length - one.where.length);
  const servers = manager === undefined ? null : serversBehind(manager, remit?.host?.policies?.servers ?? []);
  // Entries name hosts that the catalog lacks, too.
  const behind = manager !== undefined && servers?.length === 0 ? forwardedDomains(manager) : servers;
  return whileObserved(finding, enforcedCallsOf(remit, behind));
}

const placed = (finding: Finding, prefix: string): Finding => ({ ...finding, where: `${prefix}${finding.where}` });

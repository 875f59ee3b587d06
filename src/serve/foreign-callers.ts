import { LRUCache } from 'lru-cache';
import type { CheckObserver } from '../core/telemetry/finished-check.ts';
import { isDeny } from '../core/decision/decision.ts';
import { isPresentedByAnother } from '../core/decide/decided-check.ts';
import { taskTokenOf } from '../core/decide/facts.ts';
import { spiffeIdFrom, trustDomainOf, type TrustDomain } from '../core/identity/spiffe-id.ts';
import type { Parts } from './parts.ts';

/** Refused calls of a trust domain after which it is named. */
const CALLS = 20;
/** Most trust domains that are counted (the least recent caller is dropped first), and most that a process names. */
const MAX_DOMAINS = 16;

const WAY_OUT =
  'if that is the trust domain of your mesh, give SPIRE and the mesh one name (`meshConfig.trustDomain` of Istio), which `trustDomains` has: agents have their tokens by the first and call by the second';

/**
 * Logs once for each trust domain whose calls are refused again and again, because Remit does not accept that domain, or because
 * the tokens belong to agents of another domain. This happens if a mesh and SPIRE have different trust domains. Nothing is
 * decided by it. A proxy in `extAuthz.proxyId` of a trust domain that is not accepted is logged at once.
 */
export function foreignCallers({ config, log }: Pick<Parts, 'config' | 'log'>): CheckObserver {
  const accepted = new Set<TrustDomain>(config.trustDomains);
  const named = config.trustDomains.map((domain) => `\`${domain}\``).join(', ');
  const proxy = config.extAuthz.proxyId.find((id) => !accepted.has(trustDomainOf(id)));
  if (proxy !== undefined)
    log(
      `warning: \`extAuthz.proxyId\` is \`${proxy}\`, and \`trustDomains\` has ${named} alone: callers of that proxy may be of \`${trustDomainOf(proxy)}\`, and are then refused; ${WAY_OUT}`,
    );
  const calls = new LRUCache<TrustDomain, number>({ max: MAX_DOMAINS });
  let loggedDomains = 0;
  return (check) => {
    if (!isDeny(check.decision)) return;
    const seen = foreignDomain(check, accepted);
    if (seen === null || loggedDomains === MAX_DOMAINS) return;
    const count = (calls.get(seen.domain) ?? 0) + 1;
    calls.set(seen.domain, count < CALLS ? count : Infinity);
    if (count !== CALLS) return;
    loggedDomains += 1;
    const what =
      seen.agents === null ? `and \`trustDomains\` has ${named}` : `with tokens of agents of \`${seen.agents}\``;
    log(`warning: ${CALLS} calls of the trust domain \`${seen.domain}\` were refused, ${what}: ${WAY_OUT}`);
  };
}

type Seen = { readonly domain: TrustDomain; readonly agents: TrustDomain | null };

/** The trust domain of a refused caller, if it is not that of those that are accepted or of the agent of its token. */
function foreignDomain(
  { decision, facts }: Parameters<CheckObserver>[0],
  accepted: ReadonlySet<TrustDomain>,
): Seen | null {
  const { caller, refusedCaller } = facts;
  if (isDeny(caller)) {
    const id = refusedCaller === undefined ? caller : spiffeIdFrom(refusedCaller.id);
    const domain = isDeny(id) ? null : trustDomainOf(id);
    return domain === null || accepted.has(domain) ? null : { domain, agents: null };
  }
  const token = taskTokenOf(facts);
  if (token === null || !isPresentedByAnother({ decision, facts })) return null;
  const agents = trustDomainOf(token.clientId);
  return agents === caller.trustDomain ? null : { domain: caller.trustDomain, agents };
}

import type { ObserveEntry } from '../../core/policy/enforcement.ts';
import { dayOf } from '../../core/runtime/day.ts';
import type { Code } from './codes.ts';
import type { Finding } from './finding.ts';
import type { RemitFacts } from './remit/remit-facts.ts';

/**
 * Findings that the files of `remit init --observe` cause, since they let calls pass that policies deny. They are warnings while
 * all calls of a listener are observed.
 */
const OF_OBSERVING: ReadonlySet<Code> = new Set<Code>([
  'envoy.fails-open',
  'envoy.passed-unchecked',
  'envoy.checks-failed',
  'envoy.partial-body',
  'envoy.client-certificate-optional',
  'envoy.certificate-unverified',
  'envoy.upgrades',
  'istio.fails-open',
  'istio.partial-body',
  'envoy-gateway.fails-open',
]);

/** Which calls of some servers are enforced now, and when the first of all observed calls will be. */
export interface EnforcedCalls {
  /** In words, for a message; empty if all calls of the servers are observed. */
  readonly enforced: readonly string[];
  /** The first end of any entry, milliseconds since the Unix epoch; `null` if nothing is observed. */
  readonly untilMs: number | null;
}

/**
 * Which calls to `servers` are enforced. `null` if the policies of Remit were not read, or if there is no server to judge by.
 *
 * @param servers ids of the catalog, or hosts that it lacks; `null` for all of it
 */
export function enforcedCallsOf(remit: RemitFacts | null, servers: readonly string[] | null): EnforcedCalls | null {
  const host = remit?.host ?? null;
  if (remit === null || host === null || host.policies === null || host.policies.hash === null) return null;
  const { policies, config } = host;
  const entries = policies.observed.filter(({ untilMs }) => untilMs > remit.nowMs);
  const ids = new Set(policies.servers.map(({ id }) => id));
  const asked = servers ?? [...ids];
  // INVARIANT: no server to judge by is not the same as no enforced call.
  if (asked.length === 0) return null;
  const enforced = asked.flatMap((server) => {
    const covering = entries.filter(
      (entry) => entry.servers?.some((name) => name === server || (!ids.has(server) && isBelow(server, name))) ?? true,
    );
    const missing = [
      ...config.trustDomains
        .filter((domain) => !covering.some((entry) => coversDomain(entry, domain)))
        .map((domain) => `agents of \`${domain}\``),
      ...(covering.some(({ agents }) => agents === null) ? [] : ['calls without an identity']),
    ];
    return missing.length === 0 ? [] : [`${missing.join(' and ')} at \`${server}\``];
  });
  return { enforced, untilMs: entries.length === 0 ? null : Math.min(...entries.map(({ untilMs }) => untilMs)) };
}

/** Whether a host is one of `*.suffix`. */
const isBelow = (host: string, name: string): boolean => name.startsWith('*.') && host.endsWith(name.slice(1));

const coversDomain = ({ agents }: ObserveEntry, domain: string): boolean =>
  agents?.some(
    (pattern) => pattern === '*' || pattern === `spiffe://${domain}/*` || pattern === `spiffe://${domain}/**`,
  ) ?? false;

/** Most names in one line. */
const NAMED = 3;

/** A finding while calls are observed: a warning if all of them are; otherwise its message names what is enforced. */
export function whileObserved(finding: Finding, enforcement: EnforcedCalls | null): Finding {
  if (enforcement === null || !OF_OBSERVING.has(finding.code)) return finding;
  const { enforced, untilMs } = enforcement;
  if (untilMs === null) return finding;
  if (enforced.length === 0)
    return {
      ...finding,
      level: 'warning',
      message: `${finding.message}; all calls here are observed, the first until ${dayOf(untilMs)}`,
      fix: `before any of them is enforced: ${finding.fix}`,
    };
  const more = enforced.length > NAMED ? ` and ${enforced.length - NAMED} more` : '';
  return {
    ...finding,
    message: `${finding.message}; enforced are ${enforced.slice(0, NAMED).join(', ')}${more}`,
  };
}

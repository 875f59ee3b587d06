import { at, isTrueAt, listAt, numberAt, textAt } from '../tree.ts';
import type { Finding } from '../finding.ts';
import type { RemitHost } from '../remit/remit-facts.ts';
import { isForwarding } from './asked.ts';
import type { EnvoyFacts } from './envoy-facts.ts';
import { settingOf } from './http-manager.ts';
import { guardedOf, ofAskings, remitClustersOf } from './remit-filter.ts';

/** Envoy and the Remit of this machine are configured for each other. `null` if one of them was not examined. */
export function togetherFindings(facts: EnvoyFacts, host: RemitHost | null): readonly Finding[] | null {
  if (host === null || guardedOf(facts).length === 0) return null;
  return [
    ...bodyLimits(facts, host),
    ...identityHeaders(facts, host),
    ...strippedPorts(facts, host),
    ...unserved(facts, host),
    ...splitSessions(facts, host),
  ];
}

/** Envoy and Remit have the same limit for bodies. */
function bodyLimits(facts: EnvoyFacts, { config: { extAuthz } }: RemitHost): readonly Finding[] {
  const own = extAuthz.maxBodyBytes;
  return (
    ofAskings(facts, ({ filter, manager }) => {
      const places = [
        { where: manager.where, settings: filter.fields },
        ...manager.routes.map((route) => ({
          where: `${manager.where}/route/${route.where}`,
          settings: at(settingOf(filter, route).fields, 'check_settings'),
        })),
      ];
      return places.flatMap(({ settings, where }): readonly Finding[] => {
        const bytes = numberAt(settings, 'with_request_body', 'max_request_bytes');
        return bytes === null || bytes === own
          ? []
          : [
              {
                code: 'envoy.fails-calls',
                where,
                level: 'warning',
                message: `\`max_request_bytes\` is ${bytes}, and \`extAuthz.maxBodyBytes\` of Remit ${own}: bodies between the two are refused, or taken for whole although they may have been cut`,
                fix: 'set both to the same number',
              },
            ];
      });
    }) ?? []
  );
}

/** Modes in which Envoy writes the header by which `identity: xfcc` identifies callers. */
const WRITING: ReadonlySet<string> = new Set(['SANITIZE_SET', 'APPEND_FORWARD']);

function identityHeaders(facts: EnvoyFacts, { config: { extAuthz } }: RemitHost): readonly Finding[] {
  if (extAuthz.identity !== 'xfcc') return [];
  return guardedOf(facts).flatMap(({ fields, where }): readonly Finding[] => {
    const mode = textAt(fields, 'forward_client_cert_details') || 'SANITIZE';
    const isNamed = isTrueAt(fields, 'set_current_client_cert_details', 'uri');
    if (WRITING.has(mode) && isNamed) return [];
    return [
      {
        code: 'envoy.fails-calls',
        where,
        message: WRITING.has(mode)
          ? 'Remit has `identity: xfcc`, and Envoy writes no URI into the header: every call is denied'
          : `Remit has \`identity: xfcc\`, and \`${mode}\` gives it no header of Envoy: every call is denied`,
        fix: 'set `forward_client_cert_details: SANITIZE_SET` and `set_current_client_cert_details: { uri: true }`, or `extAuthz.identity: peer`',
      },
    ];
  });
}

/** Whether messages that continue a call can come to another process than the call. */
function splitSessions(facts: EnvoyFacts, { policies }: RemitHost): readonly Finding[] {
  const servers = policies?.asking ?? [];
  if (servers.length === 0) return [];
  return [...remitClustersOf(facts)].flatMap((name): readonly Finding[] => {
    const first = firstEndpoints(facts.config.clusters.get(name)?.fields);
    return first < 2
      ? []
      : [
          {
            code: 'envoy.split-sessions',
            where: `cluster/${name}`,
            message: `${first} processes of Remit are asked in turn, and \`${servers[0]}\` may ask back: an answer that comes to another process than its call is denied (\`action.unasked\`)`,
            fix: 'give all endpoints but one `priority: 1`, or see `remit help install/sidecars`; for clients of 2026-07-28 alone, suppress it',
          },
        ];
  });
}

/** How many endpoints of a cluster are asked before any of another priority. */
function firstEndpoints(cluster: unknown): number {
  const localities = listAt(cluster, 'load_assignment', 'endpoints').filter(
    (one) => (numberAt(one, 'priority') ?? 0) === 0,
  );
  return localities.flatMap((one) => listAt(one, 'lb_endpoints')).length;
}

const STRIPPING = ['strip_any_host_port', 'strip_matching_host_port'] as const;
const HTTPS_PORT = '443';

/**
 * Audiences with a port, or called at a port, if Envoy removes the port from the host before the check: a 401 then names metadata of the audience,
 * which clients of MCP refuse if they called another port.
 */
function strippedPorts({ config, ...facts }: EnvoyFacts, { policies }: RemitHost): readonly Finding[] {
  return guardedOf({ config, ...facts }).flatMap(({ fields, where }) => {
    const field = STRIPPING.find((name) => isTrueAt(fields, name));
    if (field === undefined) return [];
    const listener = config.listeners.find(({ chains }) => chains.some((chain) => chain.where === where));
    const listened = /:(\d{1,5})$/.exec(listener?.address ?? '')?.[1] ?? '';
    return (policies?.audiences ?? []).flatMap((audience): readonly Finding[] => {
      const port = URL.parse(audience)?.port ?? '';
      if (port === '' && listened === HTTPS_PORT) return [];
      return [
        {
          code: 'envoy.fails-calls',
          where,
          // If the audience has no port, clients may call another port, in front of this listener.
          level: port === '' ? 'info' : 'warning',
          message: `\`${field}\` takes the port out of the host before the check, and the audience \`${audience}\` ${
            port === '' ? `has none while this listener is at ${listened}` : 'has one'
          }: a client of MCP that calls another port gets metadata that it refuses, and a tool that compares its host may refuse the call`,
          fix: "remove it; virtual hosts match any port by `domains: [HOST, 'HOST:*']` or `ignore_port_in_host_matching`",
        },
      ];
    });
  });
}

/** Hosts of the catalog that no route of a listener that asks forwards. */
function unserved(facts: EnvoyFacts, { policies }: RemitHost): readonly Finding[] {
  const managers = guardedOf(facts);
  if (managers.some(({ hasHiddenRoutes }) => hasHiddenRoutes)) return [];
  const routes = managers.flatMap((manager) => manager.routes);
  return (policies?.hosts ?? [])
    .filter((host) => !isServed(host, routes))
    .map((host) => ({
      code: 'envoy.host-unserved',
      where: `host/${host}`,
      message:
        'the catalog has this host, and no route of a listener that asks Remit forwards it: its calls fail, or go another way, on which nobody is asked',
      fix: 'add a virtual host for it, or remove it from the catalog; suppress this if another Envoy serves it',
    }));
}

/** The servers of the catalog with a host that a listener forwards; `null`, for all, if its routes are not known. */
export const serversBehind = (
  { routes, hasHiddenRoutes }: ReturnType<typeof guardedOf>[number],
  servers: readonly { readonly id: string; readonly hosts: readonly string[] }[],
): readonly string[] | null =>
  hasHiddenRoutes
    ? null
    : servers.filter(({ hosts }) => hosts.some((host) => isServed(host, routes))).map(({ id }) => id);

/** The domains, without ports, that a listener forwards: hosts, or patterns such as `*.acme.test`. */
export const forwardedDomains = ({ routes }: { readonly routes: Routes }): readonly string[] => [
  ...new Set(routes.filter(isForwarding).flatMap(({ domains }) => domains.map(plain))),
];

type Routes = ReturnType<typeof guardedOf>[number]['routes'];

/** Of the virtual hosts that match a host Envoy takes the most specific. */
function isServed(host: string, routes: Routes): boolean {
  const fitting = [...new Set(routes.flatMap(({ domains }) => domains))]
    .filter((domain) => matches(plain(domain), host))
    .toSorted((a, b) => specificity(plain(b)) - specificity(plain(a)));
  const [best] = fitting;
  return best !== undefined && routes.some((route) => route.domains.includes(best) && isForwarding(route));
}

/** A domain without its port, in lower case. */
const plain = (domain: string): string => domain.replace(/:(?:\d+|\*)$/, '').toLowerCase();

/** Envoy takes an exact domain before the longest `*END`, that before the longest `BEGIN*`, and `*` last. No domain has 1,000 characters. */
const specificity = (domain: string): number => {
  if (domain === '*') return 0;
  if (domain.endsWith('*')) return domain.length;
  return domain.length + (domain.startsWith('*') ? 1_000 : 2_000);
};

const matches = (domain: string, host: string): boolean =>
  domain === '*' ||
  domain === host ||
  (domain.startsWith('*') && host.endsWith(domain.slice(1))) ||
  (domain.endsWith('*') && host.startsWith(domain.slice(0, -1)));

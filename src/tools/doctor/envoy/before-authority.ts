import type { RemitHost } from '../remit/remit-facts.ts';
import { numberAt } from '../tree.ts';
import type { Finding } from '../finding.ts';
import type { FilterChain, Listener } from './envoy-config.ts';
import type { EnvoyFacts } from './envoy-facts.ts';
import { askingsOf } from './remit-filter.ts';

/**
 * Lowers findings that listeners ask nobody, if a mesh injected this Envoy into the pod of an authority. Those of filter chains
 * before Remit itself become one info for each listener, since sidecars and agents call Remit there. A chain for another port may
 * lead to a tool, so its finding stays. `platform.behind-sidecar` reports that the authority cannot serve its callers.
 */
export function beforeAuthority(
  findings: readonly Finding[],
  facts: EnvoyFacts,
  host: RemitHost | null,
): readonly Finding[] {
  const before = host === null ? new Map<string, Listener>() : chainsBefore(facts, host);
  const isBefore = ({ level, where }: Finding): boolean => level === undefined && before.has(where);
  const listeners = new Set(findings.filter(isBefore).map(({ where }) => before.get(where)?.name ?? ''));
  return [...[...listeners].map(ofAuthority), ...findings.filter((finding) => !isBefore(finding))];
}

const ofAuthority = (listener: string): Finding => ({
  code: 'envoy.never-asked',
  where: `listener/${listener}`,
  level: 'info',
  message: 'its calls come to the authority of this pod, and not to a tool: nobody is asked about them',
  fix: 'let no tool run in the pod of an authority',
});

/**
 * The filter chains before the authority, by place, each with its listener: in listeners for incoming connections to it, the
 * chains for a port of Remit, and those for no particular port. Empty if Envoy asks Remit about any call.
 */
function chainsBefore(facts: EnvoyFacts, { config }: RemitHost): ReadonlyMap<string, Listener> {
  const { admin, authority, extAuthz, issuer } = config;
  if (authority.listen.length === 0 || askingsOf(facts).length > 0) return new Map();
  const serving = portsOf([...authority.listen, ...(issuer === null ? [] : [issuer.listen])]);
  const own = new Set([...serving, ...portsOf([admin.listen, ...extAuthz.listen])]);
  return new Map(
    facts.config.listeners
      .filter(
        ({ chains, direction }) =>
          direction === 'INBOUND' && chains.some((chain) => serving.has(portOf(chain) ?? NO_PORT)),
      )
      .flatMap((listener) =>
        listener.chains
          .filter((chain) => own.has(portOf(chain) ?? NO_PORT) || portOf(chain) === null)
          .map(({ where }) => [where, listener] as const),
      ),
  );
}

const NO_PORT = -1;

const portOf = ({ fields }: FilterChain): number | null => numberAt(fields, 'filter_chain_match', 'destination_port');

type Listen = RemitHost['config']['authority']['listen'][number];

const portsOf = (addresses: readonly Listen[]): ReadonlySet<number> =>
  new Set(addresses.flatMap((address) => (address.kind === 'tcp' ? [address.port] : [])));

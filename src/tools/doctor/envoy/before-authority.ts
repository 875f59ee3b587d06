import type { RemitHost } from '../remit/remit-facts.ts';
import { numberAt } from '../tree.ts';
import type { Finding } from '../finding.ts';
import type { EnvoyFacts } from './envoy-facts.ts';
import { askingsOf } from './remit-filter.ts';

/**
 * A finding that a listener asks nobody, as it counts if a mesh injected this Envoy into the pod of an authority: an info, since its calls are of
 * sidecars and agents to Remit itself. That the authority cannot serve them is `platform.behind-sidecar`.
 */
export function beforeAuthority(finding: Finding, facts: EnvoyFacts, host: RemitHost | null): Finding {
  if (host === null || finding.level !== undefined || !isBeforeAuthority(finding, facts, host)) return finding;
  return {
    ...finding,
    level: 'info',
    message: 'its calls come to the authority of this pod, and not to a tool: nobody is asked about them',
    fix: 'let no tool run in the pod of an authority',
  };
}

/** Whether Envoy asks nobody, and the listener of a finding is for incoming connections, with a filter chain for a port of the authority. */
function isBeforeAuthority(
  { where }: Finding,
  facts: EnvoyFacts,
  { config: { authority, issuer } }: RemitHost,
): boolean {
  if (authority.listen.length === 0 || askingsOf(facts).length > 0) return false;
  const addresses = [...authority.listen, ...(issuer === null ? [] : [issuer.listen])];
  const ports = new Set(addresses.flatMap((address) => (address.kind === 'tcp' ? [address.port] : [])));
  const listener = facts.config.listeners.find(({ chains }) => chains.some((chain) => chain.where === where));
  return (
    listener?.direction === 'INBOUND' &&
    listener.chains.some(({ fields }) => ports.has(numberAt(fields, 'filter_chain_match', 'destination_port') ?? -1))
  );
}

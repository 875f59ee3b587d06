import { at, fieldsOf, isTrueAt, typeNameOf, typeOf } from '../tree.ts';
import { grpcClusterOf } from './reach/cluster.ts';
import type { FilterChain } from './envoy-config.ts';
import { isAlwaysOn } from './istio-rules.ts';

/** Whether a TCP chain asks Remit before it proxies, as istiod makes it: Remit refuses what it cannot read, so no call passes. */
export function asksFirst({ filters: entries }: FilterChain, remit: ReadonlySet<string>): boolean {
  const filters = entries.map((filter) => at(filter, 'typed_config'));
  const asks = filters.findIndex((filter) => {
    const fields = fieldsOf(filter);
    const isCheck = typeNameOf(filter).endsWith(NETWORK_CHECK) && remit.has(grpcClusterOf(fields));
    return isCheck && !isTrueAt(fields, 'failure_mode_allow') && isAlwaysOn(fields, filters);
  });
  return asks !== -1 && asks < filters.findIndex((filter) => typeOf(filter) === 'TcpProxy');
}

const NETWORK_CHECK = 'filters.network.ext_authz.v3.ExtAuthz';

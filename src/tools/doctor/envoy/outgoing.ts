import { at, isTrueAt, listAt, typeOf } from '../tree.ts';
import type { EnvoyConfig, Listener } from './envoy-config.ts';
import { isOfHost } from './fields/values-of-fields.ts';

/**
 * Whether a listener is reached by calls that this host or pod makes alone: it says so, and is bound to loopback; or it is bound to nothing, and
 * each listener that hands connections on by their first destination says so too.
 */
export function isForThisPod({ address, direction }: Listener, { listeners }: EnvoyConfig): boolean {
  if (direction !== 'OUTBOUND') return false;
  if (address !== '') return isOfHost(address);
  return listeners.every((other) => !handsOn(other) || (other.direction === 'OUTBOUND' && !isSentThere(other)));
}

/** Whether a listener hands a connection to the one that has its first destination. */
const handsOn = ({ fields }: Listener): boolean =>
  isTrueAt(fields, 'use_original_dst') || isTrueAt(fields, 'hidden_envoy_deprecated_use_original_dst');

/** Whether a client can write the destination of its connection: by the PROXY protocol. */
export const isSentThere = ({ fields }: Listener): boolean =>
  listAt(fields, 'listener_filters').some((one) => typeOf(at(one, 'typed_config')) === 'ProxyProtocol');

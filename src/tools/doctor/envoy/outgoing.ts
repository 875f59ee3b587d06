import { at, isTrueAt, listAt, typeOf } from '../tree.ts';
import type { EnvoyConfig, Listener } from './envoy-config.ts';
import { isOfHost } from './fields/values-of-fields.ts';

/**
 * Whether only outgoing calls of this host or pod reach a listener. Its direction must say so. It must be bound to loopback; or unbound, with
 * each listener that forwards connections by their original destination outbound too.
 */
export function isForThisPod(listener: Listener, { listeners }: EnvoyConfig): boolean {
  if (listener.direction !== 'OUTBOUND') return false;
  if (listener.address !== '') return isBoundToHost(listener);
  return listeners.every((other) => !handsOn(other) || (other.direction === 'OUTBOUND' && !isSentThere(other)));
}

/** Whether each address of a listener is of this host. */
export const isBoundToHost = ({ address, furtherAddresses }: Listener): boolean =>
  [address, ...furtherAddresses].every(isOfHost);

/** Whether a listener forwards a connection to the listener at its original destination. */
const handsOn = ({ fields }: Listener): boolean =>
  isTrueAt(fields, 'use_original_dst') || isTrueAt(fields, 'hidden_envoy_deprecated_use_original_dst');

/** Whether a client can write the destination of its connection: by the PROXY protocol. */
export const isSentThere = ({ fields }: Listener): boolean =>
  listAt(fields, 'listener_filters').some((one) => typeOf(at(one, 'typed_config')) === 'ProxyProtocol');

import { isIPv6 } from 'node:net';

/**
 * The key that counts a client by address: an IPv4 address, or the /64 network of an IPv6 address, because a host usually
 * controls all of its /64. `unknown` if the connection is already closed.
 */
export function clientAddressOf(remoteAddress: string | undefined): string {
  const address = (remoteAddress ?? 'unknown').replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*/s, '');
  return isIPv6(address) ? `${networkOf(address)}::/64` : address;
}

const NETWORK_GROUPS = 4;
const GROUPS = 8;

function networkOf(address: string): string {
  const [before = '', after] = address.split('::', 2);
  const groups = before.split(':').filter((group) => group !== '');
  const rest = (after ?? '').split(':').filter((group) => group !== '');
  // A trailing dotted IPv4 address is two groups.
  const written = groups.length + rest.length + (address.includes('.') ? 1 : 0);
  if (after !== undefined) groups.push(...Array.from({ length: Math.max(0, GROUPS - written) }, () => '0'), ...rest);
  return groups
    .slice(0, NETWORK_GROUPS)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}

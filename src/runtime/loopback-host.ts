import { BlockList, isIP } from 'node:net';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/**
 * Whether what listens on a host is reached from this machine alone: `127.0.0.0/8` and `::1`, in any spelling, and `localhost`,
 * which is held to that once it is bound. No other name is, whatever it means at the moment.
 *
 * @param host without brackets
 */
export const isLoopback = (host: string): boolean => {
  const family = isIP(host);
  return family === 0 ? host.toLowerCase() === 'localhost' : loopback.check(host, family === 6 ? 'ipv6' : 'ipv4');
};

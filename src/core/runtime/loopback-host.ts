import { BlockList, isIP } from 'node:net';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/**
 * Whether a host can be reached from this machine only: `127.0.0.0/8` and `::1` in any spelling, and the name `localhost`.
 * After binding to `localhost` the bound address is checked too. Other names are never loopback, whatever they resolve to.
 *
 * @param host without brackets
 */
export const isLoopback = (host: string): boolean => {
  const family = isIP(host);
  return family === 0 ? host.toLowerCase() === 'localhost' : loopback.check(host, family === 6 ? 'ipv6' : 'ipv4');
};

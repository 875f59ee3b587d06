import { isIP } from 'node:net';

/** Longest socket path on Linux, in bytes. */
const MAX_SOCKET_PATH_BYTES = 107;

const UNIX = /^unix:(?:\/\/)?(\/[^/?#\0][^?#\0]*)$/;
const TCP = /^tcp:\/\/(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):(\d{1,5})$/;

/**
 * The gRPC target of a Workload API address in the forms of `SPIFFE_ENDPOINT_SOCKET`: `unix:///path` with an absolute path of
 * at most 107 bytes, or `tcp://address:port` with an IP address.
 *
 * @see SPIFFE Workload Endpoint section 4
 */
export function workloadApiTargetFrom(address: string): string | { readonly problem: string } {
  const path = UNIX.exec(address)?.[1];
  if (path !== undefined) {
    return Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES
      ? { problem: `a socket path must be at most ${MAX_SOCKET_PATH_BYTES} bytes` }
      : `unix:${path}`;
  }
  const [, ipv6, ipv4, port = ''] = TCP.exec(address) ?? [];
  const isPort = Number(port) >= 1 && Number(port) <= 65_535;
  if (ipv6 !== undefined && isIP(ipv6) === 6 && isPort) return `ipv6:[${ipv6}]:${port}`;
  if (ipv4 !== undefined && isIP(ipv4) === 4 && isPort) return `ipv4:${ipv4}:${port}`;
  return { problem: 'a workload api address must be `unix:///absolute/path` or `tcp://ip-address:port`' };
}

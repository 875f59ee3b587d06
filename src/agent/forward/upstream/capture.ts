import { readFileSync } from 'node:fs';
import { type Problem } from '../../../core/runtime/problem.ts';

/** A socket of TCP in this network namespace. */
export interface TcpRow {
  /** `0100007F:1F90`, hexadecimal as the kernel writes it; an IPv4 address also in a socket of IPv6. */
  readonly local: string;
  readonly remote: string;
  readonly state: string;
  readonly uid: number;
}

const ESTABLISHED = '01';
const LISTEN = '0A';

/** All sockets of TCP of this network namespace; empty if the kernel does not tell. @see proc_net_tcp(5) */
export const tcpRows = (): readonly TcpRow[] => ['/proc/net/tcp', '/proc/net/tcp6'].flatMap(rowsIn);

function rowsIn(file: string): readonly TcpRow[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return [];
  }
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, local = '', remote = '', state = '', , , , uid] = line.trim().split(/\s+/);
      return local === '' ? [] : [{ local: inIpv4(local), remote: inIpv4(remote), state, uid: Number(uid) }];
    });
}

/** An IPv4 address that a socket of IPv6 shows as `::ffff:a.b.c.d`. */
const inIpv4 = (address: string): string => address.replace(/^0{16}FFFF0000(?=[0-9A-F]{8}:)/, '');

/** Our end of a connection over IPv4. */
export interface OwnEnd {
  readonly localAddress: string;
  readonly localPort: number;
}

/**
 * The user of the local process at the other end of a connection, or why it is unknown. Local means in this network namespace: a firewall
 * redirects connections only to such a process. Its end names ours as its peer, and is at a port on which it listens.
 *
 * INVARIANT: our port belongs to this connection alone, since it was bound before connecting; else the peer of another connection from the same
 * port, to another address, could be taken for the peer of this connection.
 */
export function capturerOf({ localAddress, localPort }: OwnEnd, rows: readonly TcpRow[] = tcpRows()): number | Problem {
  const own = kernelAddress(localAddress, localPort);
  const peers = rows.filter(({ remote, state }) => state === ESTABLISHED && remote === own);
  const [peer] = peers;
  if (peer === undefined) return { problem: 'it is taken over by no process of this pod, and would leave it in clear' };
  if (peers.length > 1) return { problem: 'several connections of this pod have its address' };
  const port = peer.local.slice(-4);
  const [uid, ...others] = new Set(listenersAt(port, rows));
  return uid === undefined || others.length > 0
    ? { problem: 'the process that takes it over does not listen at its port, or is not alone there' }
    : uid;
}

/** Users that listen at a port, which is written as the kernel writes it. */
const listenersAt = (port: string, rows: readonly TcpRow[]): readonly number[] =>
  rows.filter(({ local, state }) => state === LISTEN && local.endsWith(`:${port}`)).map(({ uid }) => uid);

/** The users that listen at a port of this network namespace. */
export const usersListening = (port: number, rows: readonly TcpRow[] = tcpRows()): readonly number[] =>
  listenersAt(hex(port, 4), rows);

/** The users of the connections to a port of 127.0.0.1, by the port of the peer. */
export function usersConnected(port: number, rows: readonly TcpRow[] = tcpRows()): ReadonlyMap<number, number> {
  const own = kernelAddress('127.0.0.1', port);
  const peers = rows.filter(({ remote, state }) => state === ESTABLISHED && remote === own);
  return new Map(peers.map(({ local, uid }) => [Number.parseInt(local.slice(-4), 16), uid]));
}

/** `127.0.0.1` and 8080 as `0100007F:1F90`: the address in the order of bytes of this machine, the port as a number. */
const kernelAddress = (address: string, port: number): string => {
  const bytes = address.split('.').map((part) => hex(Number(part), 2));
  return `${(isLittleEndian ? bytes.toReversed() : bytes).join('')}:${hex(port, 4)}`;
};

const hex = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, '0');

const isLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

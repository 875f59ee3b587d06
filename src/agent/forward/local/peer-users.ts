/** Looks up the users of the peers of local TCP connections in `/proc/net/tcp` and `/proc/net/tcp6`. */
import { statSync } from 'node:fs';
import { usersConnected } from '../upstream/capture.ts';

/** The users of the connections to a port of 127.0.0.1, by the port of the peer; empty if the kernel does not tell. */
export type PeerUsers = (port: number) => ReadonlyMap<number, number>;

/**
 * Reads the tables of Linux: a line for each socket of the network namespace, some 150 bytes, with the user that made it. Reading takes a
 * millisecond for 1,000 sockets. A peer may have connected by a socket of IPv6 (`::ffff:127.0.0.1`), as Java does.
 *
 * @see proc_net_tcp(5), https://docs.kernel.org/networking/proc_net_tcp.html
 */
export const peerUsers: PeerUsers = (port) => usersConnected(port);

/** The user of this process; `null` if the kernel does not tell. */
export const ownUser = (): number | null => statSync('/proc/self', { throwIfNoEntry: false })?.uid ?? null;

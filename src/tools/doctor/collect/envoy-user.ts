import { readdirSync, readFileSync, statSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type { EnvoyUser } from '../envoy/envoy-facts.ts';
import { isOfHost } from '../envoy/fields/values-of-fields.ts';
import type { AdminAddress } from './admin-address.ts';

/** Most processes that are searched for the groups of Envoy. */
const MAX_PROCESSES = 20_000;

/**
 * The user of the Envoy behind an admin address on this machine: the owner of its socket, or of its listening TCP port (Linux).
 * `null` if this machine has no such socket, and neither that address nor such a port. Its groups are those of the processes of that user that
 * are called `envoy`.
 */
export function envoyUserOf({ endpoint, socketPath }: AdminAddress): EnvoyUser | null {
  const uid = socketPath === null ? ownerAt(endpoint) : ownerOf(socketPath);
  return uid === null ? null : { uid, gids: groupsOf(uid) };
}

/** The owner of a port of this machine. `null` for an endpoint of another machine, whatever listens at that port here. */
function ownerAt(endpoint: string): number | null {
  const colon = endpoint.lastIndexOf(':');
  const host = endpoint.slice(0, colon);
  const isHere = isOfHost(endpoint) || ALL_ADDRESSES.has(host) || ownAddresses().has(host.replaceAll(/[[\]]/g, ''));
  return isHere ? ownerOfPort(Number(endpoint.slice(colon + 1))) : null;
}

/** Hosts by which a client reaches its own machine. */
const ALL_ADDRESSES: ReadonlySet<string> = new Set(['0.0.0.0', '[::]']);

const ownAddresses = (): ReadonlySet<string> =>
  new Set(Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address)));

function ownerOf(path: string): number | null {
  try {
    return statSync(path).uid;
  } catch {
    return null;
  }
}

/** @see proc(5), /proc/net/tcp: the uid of the owner of a socket in state 0A (LISTEN) */
function ownerOfPort(port: number): number | null {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of textOrEmpty(table).split('\n').slice(1)) {
      const [, local = '', , state, , , , uid = ''] = line.trim().split(/\s+/);
      if (state === '0A' && local.endsWith(wanted) && uid !== '') return Number(uid);
    }
  }
  return null;
}

function groupsOf(uid: number): ReadonlySet<number> | null {
  const pids = processes().filter((pid) => textOrEmpty(`/proc/${pid}/comm`).startsWith('envoy'));
  const statuses = pids
    .map((pid) => textOrEmpty(`/proc/${pid}/status`))
    .filter((text) => numbersIn(text, 'Uid').includes(uid));
  if (statuses.length === 0) return null;
  return new Set(statuses.flatMap((text) => numbersIn(text, 'Gid').concat(numbersIn(text, 'Groups'))));
}

function processes(): readonly string[] {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .slice(0, MAX_PROCESSES);
  } catch {
    return [];
  }
}

/** The numbers in the line `NAME:` of `/proc/PID/status`. */
const numbersIn = (status: string, name: string): readonly number[] =>
  // oxlint-disable-next-line remit/linear-expression -- a file of the kernel, in short lines
  (new RegExp(`^${name}:(.*)$`, 'm').exec(status)?.[1] ?? '')
    .split(/\s+/)
    .filter((word) => word !== '')
    .map(Number);

function textOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

import type { Finding } from '../../finding.ts';
import type { EnvoyCheck } from '../envoy-check.ts';
import type { EnvoyFacts, EnvoyUser, Owned, SocketFacts } from '../envoy-facts.ts';
import { remitClustersOf } from '../remit-filter.ts';

/** The socket of Remit is there and Envoy may open it. */
export const openSocket: EnvoyCheck = {
  title: 'the socket of Remit is there, and Envoy may open it',
  run: (facts) => {
    const places = [...remitClustersOf(facts)].flatMap((name) =>
      (facts.config.clusters.get(name)?.endpoints ?? [])
        .filter((one) => one.startsWith('unix:'))
        .map((one) => ({ where: `cluster/${name}`, path: one.slice('unix:'.length), cluster: name })),
    );
    return places.length === 0 ? null : places.flatMap((place) => socketFindings(place, facts));
  },
};

interface UpstreamSocket {
  readonly where: string;
  readonly path: string;
  readonly cluster: string;
}

function socketFindings({ cluster, path, where }: UpstreamSocket, { live, sockets }: EnvoyFacts): readonly Finding[] {
  if (path.startsWith('@')) return [abstractSocket(where, path)];
  const found = sockets.get(path);
  const host = live?.hosts.get(cluster)?.find(({ address }) => address === `unix:${path}`);
  // Envoy is connected, so what is seen from here is another file system.
  if (found === undefined || (host !== undefined && host.active > 0)) return [];
  if (found.kind !== 'socket') return missing(found, { where, path });
  const user = live?.user ?? null;
  return user === null ? [] : refusedTo(user, found, { where, path });
}

const abstractSocket = (where: string, path: string): Finding => ({
  code: 'envoy.socket-abstract',
  where,
  message: `\`${path}\` is an abstract socket, which has no permissions: any process of the host can ask, and can take the name first`,
  fix: 'use a path in a folder of Remit: `/run/remit/check.sock`',
});

function missing(found: SocketFacts, { path, where }: Pick<UpstreamSocket, 'path' | 'where'>): readonly Finding[] {
  if (found.kind === 'unreadable') return [];
  return [
    {
      code: 'envoy.socket-missing',
      where,
      message: found.kind === 'missing' ? `there is nothing at \`${path}\`` : `what is at \`${path}\` is not a socket`,
      fix: 'start Remit with `extAuthz.listen: unix:PATH` of this path; in Kubernetes share the volume with the container of Envoy',
    },
  ];
}

function refusedTo(
  user: EnvoyUser,
  socket: SocketFacts & { readonly kind: 'socket' },
  { path, where }: Pick<UpstreamSocket, 'path' | 'where'>,
): readonly Finding[] {
  const closed = socket.folders.find((folder) => !mayUse(user, folder, 0o1));
  const what = closed ?? (mayUse(user, socket, 0o2) ? null : { ...socket, path });
  if (what === null || user.uid === 0) return [];
  const mode = what.mode.toString(8).padStart(4, '0');
  const groups = user.gids === null ? 'unknown groups' : `the groups ${[...user.gids].join(', ')}`;
  return [
    {
      code: 'envoy.socket-access',
      where,
      level: user.gids === null ? 'warning' : 'error',
      message: `\`${what.path}\` has mode ${mode}, owner ${what.uid} and group ${what.gid}; Envoy runs as user ${user.uid} with ${groups}, and may not use it`,
      fix: 'set `extAuthz.socketGroup` to a group of Envoy: socket 0660, its folder 0750 with the same group',
    },
  ];
}

/** Whether a user has the bit of a mode: 1 to search a folder, 2 to write. If the user is not the owner but in the group, the group bits alone decide. */
function mayUse({ gids, uid }: EnvoyUser, { gid, mode, uid: owner }: Owned, bit: number): boolean {
  if (uid === owner) return (mode & (bit << 6)) !== 0;
  return gids?.has(gid) === true ? (mode & (bit << 3)) !== 0 : (mode & bit) !== 0;
}

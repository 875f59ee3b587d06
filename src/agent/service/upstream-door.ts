import { join } from 'node:path';
import { isProblem, type Problem } from '../../core/runtime/problem.ts';
import { authoritiesIn } from '../forward/forwarders.ts';
import type { ForwardTarget } from '../forward/forward-target.ts';
import { type Admit, ForwardListener } from '../forward/local/listener.ts';
import { unixSocketProblem } from '../../core/runtime/system/unix-socket.ts';

/** Connections of clients to one upstream. 5,000 tasks may each hold a stream of events and call beside it. */
const MAX_CONNECTIONS = 12_288;

/** The local addresses of one upstream, for all tasks. The path or the header of a request names its task. */
export interface UpstreamDoor {
  readonly target: ForwardTarget;
  /** The content of the `ca` file of the upstream. */
  readonly authorities: readonly string[];
  readonly port: number;
  readonly socketPath: string;
  /** Called for each request that came with an `Authorization` of its own. */
  readonly onOwnAuthorization: () => void;
  readonly close: () => Promise<void>;
}

/** Opens the addresses of an upstream: a port of 127.0.0.1, and a Unix socket in the private folder. */
export async function openDoor(
  target: ForwardTarget,
  {
    folder,
    tell,
    admit,
  }: {
    readonly folder: string;
    readonly tell: (line: string) => void;
    /** @param port of the request; `null` for the socket */
    readonly admit: (door: UpstreamDoor, port: number | null) => Admit;
  },
): Promise<UpstreamDoor | Problem> {
  const named = (problem: string): Problem => ({ problem: `--forward \`${target.name}\`: ${problem}` });
  const authorities = await authoritiesIn(target);
  if (isProblem(authorities)) return named(authorities.problem);
  const socketPath = join(folder, `${target.name}.sock`);
  const taken = await unixSocketProblem(socketPath);
  if (taken !== null) return named(taken);
  const tcp = await ForwardListener.open({ port: target.port }, MAX_CONNECTIONS);
  if (isProblem(tcp)) return named(tcp.problem);
  const socket = await ForwardListener.open({ path: socketPath }, MAX_CONNECTIONS);
  if (isProblem(socket)) {
    await tcp.close();
    return named(socket.problem);
  }
  let isTold = false;
  const door: UpstreamDoor = {
    target,
    authorities,
    port: tcp.port,
    socketPath,
    onOwnAuthorization: () => {
      if (!isTold)
        tell(`${target.name}: a client sends an Authorization of its own; it is replaced by the token of the task`);
      isTold = true;
    },
    close: async () => {
      await Promise.all([tcp.close(), socket.close()]);
    },
  };
  tcp.serve(admit(door, tcp.port));
  socket.serve(admit(door, null));
  return door;
}

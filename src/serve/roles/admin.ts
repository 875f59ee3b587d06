import type { Gate } from '../admin/readiness.ts';
import { AdminServer } from '../admin/server.ts';
import type { Config } from '../../core/config/config.ts';
import { addressText } from '../../core/config/values.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import type { Closers } from '../closers.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';
import type { StartProblem } from '../start-problem.ts';

/** The admin server of a process, which listens. */
export interface OpenAdmin {
  readonly server: AdminServer;
  readonly port: number;
}

/**
 * Opens the admin server, before anything that a start may wait for: it answers that the process is alive, and by `gate` why it is not ready.
 */
export async function openAdmin(
  { admin: { listen, hosts, socket } }: Pick<Config, 'admin'>,
  {
    gate,
    closers,
    listener,
    ports,
  }: {
    readonly gate: Gate;
    readonly closers: Pick<Closers, 'push'>;
    /** Who may have its port, if that is known. */
    readonly listener: () => Promise<string | null>;
    readonly ports: Pick<Ports, 'monotonicMs'>;
  },
): Promise<OpenAdmin | StartProblem> {
  if (listen.kind !== 'tcp') return { problem: '`admin.listen` must be `host:port`' };
  const server = new AdminServer([gate], { hosts: [listen.host, ...hosts] }, ports);
  closers.push(() => server.close());
  const problem = socket?.kind === 'unix' ? await server.listenOnSocket(socket.path) : null;
  if (problem !== null) return { problem: `admin.socket: ${problem}` };
  try {
    return { server, port: await server.listen(listen) };
  } catch (error) {
    const code = errorCode(error) ?? 'unknown error';
    const start = `admin cannot listen on \`${addressText(listen)}\`: ${code}`;
    if (code !== 'EADDRINUSE') return { problem: start };
    const wayOut = (await listener()) ?? 'another process listens there; end it, or set another `admin.listen`';
    return { problem: `${start}: ${wayOut}` };
  }
}

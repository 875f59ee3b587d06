import type { AddressInfo, Server } from 'node:net';
import type { RequestHead } from '../../http2/request-head.ts';
import { Http2Server } from '../../http2/server.ts';
import type { AnswerableStream, StreamEvents } from '../../http2/stream.ts';
import { type GrpcMethod, GrpcStatus, unread } from './grpc-call.ts';
import { grpcTimeoutMs } from './grpc-timeout.ts';
import { OwnHttp2Call, refuseHttp } from './http2-call.ts';
import {
  moveSocket,
  pathBeside,
  restrictSocket,
  unixPathProblem,
  unixSocketProblem,
} from '../../../core/runtime/system/unix-socket.ts';
import type { SocketAccess } from '../../../core/runtime/system/unix-socket.ts';

/** What a server needs. */
export interface GrpcServerOptions {
  readonly monotonicMs: () => number;
  /** Backpressure: whether enough work is queued. After returning true, call `readOn` to resume. Default never. */
  readonly isCrowded?: () => boolean;
  /** Called with errors of a method, which reset its call, and of connections that could not be accepted. */
  readonly onFault?: (error: unknown) => void;
}

/** A socket at its path. */
interface MovedSocket {
  readonly server: Server;
  /** Removes it, unless another process has taken it over. */
  readonly remove: () => Promise<void>;
}

const OWN_GROUP: SocketAccess = { mode: 0o660, groupId: null };

/** Why an address cannot be bound. */
export interface BindProblem {
  readonly problem: string;
}

/**
 * A gRPC server without codecs: it routes a call to its method, which does the rest.
 *
 * Lifecycle: `listen` once per address, `close` once.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
export class GrpcServer {
  readonly #server: Http2Server;
  /** The sockets that were moved to their paths. */
  readonly #moved = new Map<string, MovedSocket>();

  constructor(methods: ReadonlyMap<string, GrpcMethod>, options: GrpcServerOptions) {
    this.#server = new Http2Server({ ...options, onStream: (stream, head) => routed(stream, { head, methods }) });
  }

  /**
   * Binds an address.
   *
   * @param address `unix:/absolute/path` or `host:port`; port 0 picks a free port
   * @param access who may connect to a Unix socket; default 0660 with the group of this process
   * @returns the bound address, or the problem
   */
  async listen(address: string, access: SocketAccess = OWN_GROUP): Promise<string | BindProblem> {
    const path = address.startsWith('unix:') ? address.slice('unix:'.length) : null;
    if (path !== null && access.takesOver === true) return this.#takeOver(path, access);
    const problem = path === null ? null : await unixSocketProblem(path);
    if (problem !== null) return { problem };
    const bound = await this.#server.listen(path === null ? tcpAddress(address) : { path });
    if ('failure' in bound) return { problem: bindProblem(address, bound.failure) };
    if (path === null) return `${hostOf(address)}:${portOf(bound.server)}`;
    const unrestricted = restrictSocket(path, access);
    return unrestricted === null ? address : { problem: unrestricted };
  }

  /** Binds beside the path and moves there, whether another process serves it or not. */
  async #takeOver(path: string, access: SocketAccess): Promise<string | BindProblem> {
    const beside = pathBeside(path);
    const problem = (await unixPathProblem(path)) ?? (await unixSocketProblem(beside));
    if (problem !== null) return { problem };
    const bound = await this.#server.listen({ path: beside });
    if ('failure' in bound) return { problem: bindProblem(`unix:${path}`, bound.failure) };
    const unrestricted = restrictSocket(beside, access);
    const remove = unrestricted ?? (await moveSocket(beside, path));
    if (typeof remove === 'string') {
      this.#server.release(bound.server);
      return { problem: remove };
    }
    // INVARIANT: a single server accepts connections for a path, however often its socket is removed and bound again.
    const former = this.#moved.get(path);
    if (former !== undefined) this.#server.release(former.server);
    this.#moved.set(path, { server: bound.server, remove });
    return `unix:${path}`;
  }

  /** Sends the pending answers now, instead of at the end of the turn. */
  flush(): void {
    this.#server.flush();
  }

  /** Resumes reading. */
  readOn(): void {
    this.#server.readOn();
  }

  /** Graceful stop: refuses new calls, lets open calls finish, and aborts what is left after `graceMs`. Never rejects. */
  async close(graceMs: number): Promise<void> {
    for (const { remove } of this.#moved.values()) await remove();
    this.#moved.clear();
    await this.#server.close(graceMs);
  }
}

function routed(
  stream: AnswerableStream,
  { head, methods }: { readonly head: RequestHead; readonly methods: ReadonlyMap<string, GrpcMethod> },
): StreamEvents {
  const method = methods.get(head.path);
  const { headers } = head;
  if (head.method !== 'POST') refuseHttp(stream, 405);
  else if (headers.get('content-type')?.startsWith('application/grpc') !== true) refuseHttp(stream, 415);
  else if (method === undefined) new OwnHttp2Call(stream).fail(GrpcStatus.unimplemented, 'no such method');
  else {
    return method(new OwnHttp2Call(stream), {
      timeoutMs: grpcTimeoutMs(headers.get('grpc-timeout')),
      traceparent: headers.get('traceparent') ?? null,
    });
  }
  return unread(stream);
}

const hostOf = (address: string): string => address.slice(0, address.lastIndexOf(':'));

/** The host, without brackets, and the port of `host:port`. */
export const tcpAddress = (address: string): { readonly host: string; readonly port: number } => ({
  host: hostOf(address).replace(/^\[(.*)\]$/, '$1'),
  port: Number(address.slice(address.lastIndexOf(':') + 1)),
});

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

const bindProblem = (address: string, error: Error): string =>
  error.message.includes('EADDRINUSE')
    ? `address in use: \`${address}\``
    : `cannot listen on \`${address}\`: ${error.message}`;

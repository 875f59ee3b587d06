import { chmod } from 'node:fs/promises';
import type { AddressInfo, Server } from 'node:net';
import type { RequestHead } from '../http2/request-head.ts';
import { Http2Server, type ListenWhere } from '../http2/server.ts';
import type { AnswerableStream, StreamEvents } from '../http2/stream.ts';
import { failAnswer, GrpcStatus, refuseHttp } from './grpc-answer.ts';
import { unixSocketProblem } from './socket.ts';

/** What is done with a call of a method; the result is told what comes of it. */
export type GrpcMethod = (stream: AnswerableStream, head: RequestHead) => StreamEvents;

/** What the server is made with. */
export interface GrpcServerOptions {
  readonly monotonicMs: () => number;
  /** Whether what has come is enough for now; who says so calls `readOn`. Default never. */
  readonly isCrowded?: () => boolean;
  /** Told of what a method has thrown, which resets its call, and of connections that could not be taken. */
  readonly onFault?: (error: unknown) => void;
}

/** What stands in the way of an address. */
export interface BindProblem {
  readonly problem: string;
}

/**
 * A gRPC server without a codec: it finds the method of a call, and the method does the rest.
 *
 * Lifecycle: `listen` as often as there are addresses, `close` once.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
export class GrpcServer {
  readonly #server: Http2Server;

  constructor(methods: ReadonlyMap<string, GrpcMethod>, options: GrpcServerOptions) {
    this.#server = new Http2Server({ ...options, onStream: (stream, head) => routed(stream, { head, methods }) });
  }

  /**
   * Opens an address.
   *
   * @param address `unix:/absolute/path` (mode 0660) or `host:port`; port 0 takes a free one
   * @returns the address as bound, or what stands in the way
   */
  async listen(address: string): Promise<string | BindProblem> {
    const path = address.startsWith('unix:') ? address.slice('unix:'.length) : null;
    const problem = path === null ? null : await unixSocketProblem(path);
    if (problem !== null) return { problem };
    const bound = await this.#server.listen(path === null ? tcpAddress(address) : { path });
    if ('failure' in bound) return { problem: bindProblem(address, bound.failure) };
    if (path === null) return `${hostOf(address)}:${portOf(bound.server)}`;
    await chmod(path, 0o660);
    return address;
  }

  /** Sends the answers there are; they go out by themselves at the end of the turn of the event loop. */
  flush(): void {
    this.#server.flush();
  }

  /** Reads on after it was enough. */
  readOn(): void {
    this.#server.readOn();
  }

  /** Takes no more calls, lets those that are open end, and cuts off what is left after `graceMs`. Never rejects. */
  close(graceMs: number): Promise<void> {
    return this.#server.close(graceMs);
  }
}

function routed(
  stream: AnswerableStream,
  { head, methods }: { readonly head: RequestHead; readonly methods: ReadonlyMap<string, GrpcMethod> },
): StreamEvents {
  const method = methods.get(head.path);
  if (head.method !== 'POST') refuseHttp(stream, 405);
  else if (head.headers.get('content-type')?.startsWith('application/grpc') !== true) refuseHttp(stream, 415);
  else if (method === undefined) failAnswer(stream, GrpcStatus.unimplemented, 'no such method');
  else return method(stream, head);
  return unread(stream);
}

/** What comes of a stream that was answered is thrown away. */
export const unread = (stream: AnswerableStream): StreamEvents => ({
  data: ({ length }) => stream.took(length),
  ended: () => undefined,
  closed: () => undefined,
});

const hostOf = (address: string): string => address.slice(0, address.lastIndexOf(':'));

const tcpAddress = (address: string): ListenWhere => ({
  host: hostOf(address).replace(/^\[(.*)\]$/, '$1'),
  port: Number(address.slice(address.lastIndexOf(':') + 1)),
});

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

const bindProblem = (address: string, error: Error): string =>
  error.message.includes('EADDRINUSE')
    ? `address in use: \`${address}\``
    : `cannot listen on \`${address}\`: ${error.message}`;

import { type ClientHttp2Session, connect } from 'node:http2';
import type { AddressInfo, Server } from 'node:net';
import { headerBlock } from '../../../src/sidecar/http2/header-block.ts';
import { Http2Server, type Http2ServerOptions } from '../../../src/sidecar/http2/server.ts';
import type { RequestHead } from '../../../src/sidecar/http2/request-head.ts';
import type { AnswerableStream, StreamEvents } from '../../../src/sidecar/http2/stream.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { RawClient } from './raw-client.ts';
import { closedAfterEach } from '../../builders/with-closers.ts';

const OK = headerBlock({ ':status': '200' });
const END = headerBlock({ 'x-end': 'yes' });

/** A server with its port. */
export interface Served {
  readonly server: Http2Server;
  readonly port: number;
  readonly listening: Server;
}

/** Everything a suite opens, closed after each of its tests. */
export function stage() {
  const closing = closedAfterEach();
  return {
    /** A server on a free loopback port, which by default echoes each request. */
    serve: async (
      onStream: Http2ServerOptions['onStream'] = echo,
      over: Partial<Http2ServerOptions> = {},
    ): Promise<Served> => {
      const server = new Http2Server({ monotonicMs: systemPorts.monotonicMs, ...over, onStream });
      const bound = await server.listen({ host: '127.0.0.1', port: 0 });
      if ('failure' in bound) throw bound.failure;
      closing.push(() => server.close(0));
      return { server, listening: bound.server, port: (bound.server.address() as AddressInfo).port };
    },
    /** A raw client. */
    raw: async ({ port }: Pick<Served, 'port'>, opening?: Buffer): Promise<RawClient> => {
      const client = await RawClient.to(port, opening);
      closing.push(() => client.close());
      return client;
    },
    /** A session of Node's own client. */
    session: ({ port }: Pick<Served, 'port'>, options = {}): ClientHttp2Session => {
      const session = connect(`http://127.0.0.1:${port}`, options);
      session.on('error', () => undefined);
      closing.push(() => session.destroy());
      return session;
    },
  };
}

/** Sends a request back once it is complete. */
export function echo(stream: AnswerableStream): StreamEvents {
  const pieces: Buffer[] = [];
  return {
    data: (bytes) => {
      // A copy, so that no received chunk is held.
      pieces.push(Buffer.from(bytes));
      stream.took(bytes.length);
    },
    ended: () => answer(stream, Buffer.concat(pieces)),
    closed: () => undefined,
  };
}

/** Answers with headers, content and trailers. */
export function answer(stream: AnswerableStream, content: Buffer): void {
  stream.respond(OK);
  stream.send(content);
  stream.end(END);
}

/** Answers at once with headers only. */
export function brief(stream: AnswerableStream): StreamEvents {
  stream.respond(OK, { ends: true });
  return { data: ({ length }) => stream.took(length), ended: () => undefined, closed: () => undefined };
}

/** A stream and its events. */
export interface Noted {
  readonly stream: AnswerableStream;
  readonly path: string;
  /** `data:` with the number of bytes, `ended` and `closed`. */
  readonly events: string[];
  /** All received data. */
  readonly pieces: Buffer[];
}

/** Notes the events of each stream by path; `then` reacts to them. */
export function noting(
  then: Partial<{ [K in keyof StreamEvents | 'begun']: (noted: Noted, length: number) => void }> = {},
) {
  const noted = new Map<string, Noted>();
  const onStream = (stream: AnswerableStream, { path }: RequestHead): StreamEvents => {
    const one: Noted = { stream, path, events: [], pieces: [] };
    noted.set(path, one);
    then.begun?.(one, 0);
    return {
      data: (bytes) => {
        one.events.push(`data:${bytes.length}`);
        one.pieces.push(Buffer.from(bytes));
        then.data?.(one, bytes.length);
      },
      ended: () => {
        one.events.push('ended');
        then.ended?.(one, 0);
      },
      closed: () => {
        one.events.push('closed');
        then.closed?.(one, 0);
      },
    };
  };
  /** The events of a path. */
  const eventsOf = (path: string): string => (noted.get(path)?.events ?? []).join(' ');
  return { noted, onStream, eventsOf };
}

import { connect } from 'node:http2';
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import { connect as connectSocket } from 'node:net';
import { Client, credentials, status } from '@grpc/grpc-js';
import type { ChannelCredentials, ClientDuplexStream, StatusObject } from '@grpc/grpc-js';
import type { AuthorityCalls, Down, Up } from '../../../src/core/fleet/messages.ts';
import { methodOf } from '../../../src/core/fleet/service.ts';
import type { IssuedSvid } from '../../../src/dev/authority.ts';
import { until } from '../../until.ts';

/** A stream as a client without any scruples sees it. */
export interface RawStream {
  readonly send: (up: Up) => void;
  readonly downs: readonly Down[];
  /** How it ended, as the name of a gRPC status; `null` while it is open. */
  readonly ended: () => string | null;
  readonly stream: ClientDuplexStream<Up, Down>;
}

const same = (bytes: Buffer): Buffer => bytes;

/** A client that sends whatever a test wants. */
export class RawClient {
  readonly #client: Client;

  constructor(target: string, using: ChannelCredentials = credentials.createInsecure()) {
    this.#client = new Client(target, using, {
      'grpc.ssl_target_name_override': 'localhost',
      'grpc.use_local_subchannel_pool': 1,
      'grpc.enable_retries': 0,
    });
  }

  /** The answer, or the name of the status. */
  call<Name extends 'Open' | 'Confirm' | 'Settle' | 'GiveBack' | 'UseProofs'>(
    name: Name,
    request: AuthorityCalls[Name][0],
  ): Promise<AuthorityCalls[Name][1] | string> {
    const { path, requestSerialize, responseDeserialize } = methodOf(name);
    return new Promise((resolve) => {
      this.#client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error, reply) =>
        resolve(reply ?? status[error?.code ?? 2] ?? 'UNKNOWN'),
      );
    });
  }

  /** The name of the status after bytes that no sidecar sends. */
  bytes(name: 'Open' | 'Confirm' | 'Settle' | 'UseProofs', request: Buffer): Promise<string> {
    return new Promise((resolve) => {
      this.#client.makeUnaryRequest(methodOf(name).path, same, same, request, (error) =>
        resolve(status[error?.code ?? 0] ?? 'UNKNOWN'),
      );
    });
  }

  follow(): RawStream {
    const { path, requestSerialize, responseDeserialize } = methodOf('Follow');
    const stream = this.#client.makeBidiStreamRequest<Up, Down>(path, requestSerialize, responseDeserialize);
    const downs: Down[] = [];
    let end: string | null = null;
    stream.on('data', (down: Down) => downs.push(down));
    stream.on('error', () => undefined);
    stream.on('status', ({ code }: StatusObject) => (end = status[code] ?? String(code)));
    return { send: (up) => stream.write(up), downs, ended: () => end, stream };
  }

  close(): void {
    this.#client.close();
  }
}

export const hello = (instance: string, of: Partial<Extract<Up, { of: 'hello' }>['hello']> = {}): Up => ({
  of: 'hello',
  hello: { version: '0.2.0', instance, resume: null, held: [], policy_set: '', log: null, orders: true, ...of },
});

/** An HTTP/2 connection to `host:port` as a client with an SVID, from a local address. It trusts the server blindly. */
export function tlsSession(
  target: string,
  { certPem, keyPem }: IssuedSvid,
  { bundlePem }: { readonly bundlePem: string },
  localAddress?: string,
): ClientHttp2Session {
  const from: object = localAddress === undefined ? {} : { localAddress };
  return connect(`https://${target}`, {
    ca: bundlePem,
    cert: certPem,
    key: keyPem,
    checkServerIdentity: () => undefined,
    ...from,
  });
}

/** An HTTP/2 connection to `unix:/path`. */
export const unixSession = (target: string): ClientHttp2Session =>
  connect('http://localhost', { createConnection: () => connectSocket(target.slice('unix:'.length)) });

/** A call whose message does not end. */
export interface HeldCall {
  /** The name of the status it got; `null` while there is none. */
  readonly status: () => string | null;
  /** Sends the rest of the message: a request without content. */
  readonly complete: () => void;
}

/** Begins a call over HTTP/2, and sends half of the five bytes in front of its message. */
export function heldCall(session: ClientHttp2Session, name: keyof AuthorityCalls): HeldCall {
  session.on('error', () => undefined);
  const stream = session.request({
    ':method': 'POST',
    ':path': methodOf(name).path,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  let code: string | null = null;
  const hear = (headers: Readonly<Record<string, unknown>>): void => {
    const found = headers['grpc-status'];
    if (found !== undefined) code = status[Number(found)] ?? 'UNKNOWN';
  };
  stream
    .on('error', () => undefined)
    .on('response', hear)
    .on('trailers', hear)
    .resume();
  stream.write(Buffer.alloc(3));
  return { status: () => code, complete: () => stream.end(Buffer.alloc(2)) };
}

/** Opens a stream over HTTP/2, sends one message, and never reads. Gives what ends it. */
export function deafStream(session: ClientHttp2Session, first: Up): () => void {
  rawStream(session, 'Follow', methodOf('Follow').requestSerialize(first));
  return () => session.destroy();
}

/** Begins a call over HTTP/2, and sends one message. Nothing is read. */
export function rawStream(session: ClientHttp2Session, name: keyof AuthorityCalls, message: Buffer): ClientHttp2Stream {
  session.on('error', () => undefined);
  const stream = session.request({
    ':method': 'POST',
    ':path': methodOf(name).path,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  stream.on('error', () => undefined);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  stream.write(Buffer.concat([prefix, message]));
  return stream;
}

/** The name of the status with which the stream ends. */
export const endOf = (stream: RawStream): Promise<string> =>
  until(() => stream.ended() ?? undefined, { what: 'the end of the stream' });

/** Waits for `Welcome`. */
export const welcomed = async (stream: RawStream) => {
  const down = await until(() => stream.downs.find((one) => one.of === 'welcome'), { what: 'Welcome' });
  if (down.of !== 'welcome') throw new Error('no Welcome');
  return down.welcome;
};

/** TLS as a client with an SVID, or without one. It trusts the server blindly: that is not what is tested. */
export const tlsWith = (
  svid: (Pick<IssuedSvid, 'certPem' | 'keyPem'> & Partial<IssuedSvid>) | null,
  bundlePem: string,
): ChannelCredentials =>
  credentials.createSsl(
    Buffer.from(bundlePem),
    svid === null ? null : Buffer.from(svid.keyPem),
    svid === null ? null : Buffer.from(svid.certPem),
    { checkServerIdentity: () => undefined },
  );

import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from 'node:tls';

/** A request as an upstream received it. */
export interface Arrived {
  readonly method: string;
  /** As on the request line. */
  readonly target: string;
  /** Header names in lower case, in order. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** An upstream that reads raw bytes, and answers every request with 200. */
export interface RawUpstream {
  readonly address: { readonly host: string; readonly port: number };
  /** All received requests, oldest first. Anything after a request on its connection counts as another one. */
  readonly arrived: readonly Arrived[];
  close(): Promise<void>;
}

/** Starts it on a free loopback port. */
export async function startRawUpstream(): Promise<RawUpstream> {
  const arrived: Arrived[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let held = '';
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (chunk) => {
      held += chunk.toString('latin1');
      for (let next = firstRequest(held); next !== null; next = firstRequest(held)) {
        arrived.push(next.request);
        held = held.slice(next.length);
        socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    address: { host: '127.0.0.1', port },
    arrived,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** The first complete request in the received bytes. */
function firstRequest(held: string): { readonly request: Arrived; readonly length: number } | null {
  const end = held.indexOf('\r\n\r\n');
  if (end === -1) return null;
  // Some servers accept half a line break as one.
  const [requestLine = '', ...lines] = held.slice(0, end).split(/\r\n|\r|\n/);
  const [method = '', ...rest] = requestLine.split(' ');
  const headers = headersFrom(lines);
  const body = bodyIn(held.slice(end + 4), new Map(headers));
  if (body === null) return null;
  const all = [...headers, ...headersFrom(body.trailers)];
  return { request: { method, target: rest.slice(0, -1).join(' '), headers: all }, length: end + 4 + body.length };
}

const headersFrom = (lines: readonly string[]): Arrived['headers'] =>
  lines.map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()];
  });

/** Some servers read trailers as headers. */
function bodyIn(
  body: string,
  headers: ReadonlyMap<string, string>,
): { readonly length: number; readonly trailers: readonly string[] } | null {
  if (headers.get('transfer-encoding') === undefined) {
    const length = Number(headers.get('content-length') ?? 0);
    return body.length >= length ? { length, trailers: [] } : null;
  }
  const last = /(?:^|\r\n)0\r\n((?:[^\r\n]+\r\n)*)\r\n/.exec(body);
  if (last === null) return null;
  return { length: last.index + last[0].length, trailers: (last[1] ?? '').split('\r\n').slice(0, -1) };
}

/** Address and TLS material of a raw client. */
export interface RawClient {
  readonly port: number;
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

/** Bytes to send unchanged. */
export interface RawRequest {
  /** The ALPN protocol. */
  readonly protocol: 'http/1.1' | 'h2';
  readonly bytes: Uint8Array;
  /** Whether the client disconnects in the middle. */
  readonly hangsUp?: boolean;
}

/** A loaded machine takes seconds for an answer; some shapes never get one. */
const LONGEST_ANSWER_MS = 5_000;
/** Waiting time for what may still reach an upstream after the first answer. */
const AFTERMATH_MS = 40;

/** Sends the bytes on a new connection, and waits for an answer or for the end of the connection. */
export async function sendRaw({ port, ...tls }: RawClient, { protocol, bytes, hangsUp }: RawRequest): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, ...tls, servername: 'localhost', ALPNProtocols: [protocol] });
  socket.on('error', () => {});
  try {
    const isConnected = await settled(once(socket, 'secureConnect'));
    if (!isConnected) return 'no connection';
    const chunks: Buffer[] = [];
    const answered = new Promise<void>((resolve) => {
      socket.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        if (protocol === 'http/1.1' || hasAnswer(Buffer.concat(chunks))) resolve();
      });
      socket.on('close', () => resolve());
    });
    socket.write(bytes);
    if (hangsUp === true) socket.end();
    await Promise.race([answered, delay(LONGEST_ANSWER_MS, undefined, { ref: false })]);
    await delay(AFTERMATH_MS);
    const answer = Buffer.concat(chunks).toString('latin1');
    return protocol === 'h2' ? `h2, ${chunks.length} reads` : answer;
  } finally {
    socket.destroy();
  }
}

const settled = (promise: Promise<unknown>): Promise<boolean> =>
  promise.then(
    () => true,
    () => false,
  );

const HEADERS = 1;
const RST_STREAM = 3;
const GOAWAY = 7;
const SETTINGS = 4;
const DATA = 0;
const FRAME_HEAD = 9;

function hasAnswer(bytes: Buffer): boolean {
  for (let at = 0; at + FRAME_HEAD <= bytes.length; at += FRAME_HEAD + bytes.readUIntBE(at, 3)) {
    if ([HEADERS, RST_STREAM, GOAWAY].includes(bytes[at + 3] ?? 0)) return true;
  }
  return false;
}

/** One HTTP/2 request with its fields unchanged and in order, even invalid ones. */
export function h2Request(fields: readonly (readonly [name: string, value: string])[], body?: string): Uint8Array {
  const block = Buffer.concat(fields.flatMap(([name, value]) => [Buffer.of(0), h2String(name), h2String(value)]));
  const endHeaders = 0x4;
  const endStream = 0x1;
  return Buffer.concat([
    Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    frame(SETTINGS, { flags: 0, stream: 0 }, Buffer.alloc(0)),
    frame(HEADERS, { flags: body === undefined ? endHeaders | endStream : endHeaders, stream: 1 }, block),
    ...(body === undefined ? [] : [frame(DATA, { flags: endStream, stream: 1 }, Buffer.from(body))]),
  ]);
}

function frame(type: number, { flags, stream }: { readonly flags: number; readonly stream: number }, content: Buffer) {
  const head = Buffer.alloc(FRAME_HEAD);
  head.writeUIntBE(content.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, content]);
}

/** A string literal of HPACK without Huffman code. @see RFC 7541 section 5 */
function h2String(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  const length: number[] = [];
  if (bytes.length < 127) length.push(bytes.length);
  else {
    length.push(127);
    let rest = bytes.length - 127;
    for (; rest >= 128; rest >>>= 7) length.push((rest & 127) | 128);
    length.push(rest);
  }
  return Buffer.concat([Buffer.from(length), bytes]);
}

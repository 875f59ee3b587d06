import { connect, type Socket } from 'node:net';
import { CHECK_PATH } from '../../../src/sidecar/envoy/proto.ts';

/** The types of frames. @see RFC 9113 section 6 */
export const Frame = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, windowUpdate: 8, continuation: 9 } as const;
/** The flags of frames. */
export const Flag = { endStream: 1, endHeaders: 4 } as const;

/** Any frame. */
export function frame(
  type: number,
  { flags = 0, stream = 0, payload = Buffer.alloc(0) }: { flags?: number; stream?: number; payload?: Buffer } = {},
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Headers as literals without indexing. Names and values have less than 127 bytes. */
export const headerBlock = (headers: Readonly<Record<string, string>>): Buffer =>
  Buffer.concat(
    Object.entries(headers).map(([name, value]) =>
      Buffer.concat([
        Buffer.from([0, name.length]),
        Buffer.from(name),
        Buffer.from([value.length]),
        Buffer.from(value),
      ]),
    ),
  );

/** The headers of a check. */
export const CHECK_HEADERS = {
  ':method': 'POST',
  ':path': CHECK_PATH,
  ':scheme': 'http',
  ':authority': 'remit',
  'content-type': 'application/grpc',
  te: 'trailers',
};

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** A connection that sends given bytes after the preface of HTTP/2. Its errors are ignored. */
export function rawConnection(address: string): Promise<Socket> {
  const [host, port] = address.split(':');
  return new Promise((resolve) => {
    const socket = connect(Number(port), host, () => {
      socket.write(Buffer.concat([PREFACE, frame(Frame.settings)]));
      resolve(socket);
    });
    socket.on('error', () => undefined);
  });
}

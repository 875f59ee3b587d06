import type { Socket } from 'node:net';

/** The first bytes of HTTP/2 with prior knowledge; no request of HTTP/1.1 begins so. @see RFC 9113 section 3.4 */
const PREFACE = Buffer.from('PRI * HTTP/2.0', 'latin1');
/** How long a connection may send nothing. */
const SILENT_MS = 10_000;

/** What takes a connection of each protocol. */
export interface Protocols {
  readonly http1: (socket: Socket) => void;
  readonly http2: (socket: Socket) => void;
}

/** Detects the protocol of a new connection by its first bytes, and calls its handler. */
export function byFirstBytes(socket: Socket, { http1, http2 }: Protocols): void {
  const onError = (): void => void socket.destroy();
  const onSilence = (): void => void socket.destroy();
  const look = (): void => {
    const first = socket.read() as Buffer | null;
    if (first === null) return void socket.once('readable', look);
    const length = Math.min(first.length, PREFACE.length);
    const isPreface = first.subarray(0, length).equals(PREFACE.subarray(0, length));
    socket.unshift(first);
    // A part of the preface is no request either: wait for the rest.
    if (isPreface && length < PREFACE.length && !socket.readableEnded) return void socket.once('readable', look);
    socket.off('error', onError).setTimeout(0).off('timeout', onSilence);
    return (isPreface ? http2 : http1)(socket);
  };
  socket.once('error', onError).setTimeout(SILENT_MS).once('timeout', onSilence);
  socket.once('readable', look);
}

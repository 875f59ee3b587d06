import { connect, type Socket } from 'node:net';
import { type Frame, FrameType, MAX_31_BITS, uint32, writeFrameHead } from '../../../src/sidecar/http2/frame.ts';

/** The preface of a connection. */
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** Any frame. */
export function frame(
  type: number,
  {
    flags = 0,
    stream = 0,
    payload = Buffer.alloc(0),
  }: { readonly flags?: number; readonly stream?: number; readonly payload?: Buffer } = {},
): Buffer {
  const bytes = Buffer.alloc(9 + payload.length);
  writeFrameHead(bytes, 0, { length: payload.length, type, flags, stream });
  payload.copy(bytes, 9);
  return bytes;
}

/** A WINDOW_UPDATE. */
export const widened = (stream: number, by: number): Buffer =>
  frame(FrameType.windowUpdate, { stream, payload: uint32(by) });

/** A RST_STREAM. */
export const reset = (stream: number, code = 8): Buffer => frame(FrameType.reset, { stream, payload: uint32(code) });

/** The frames in bytes, and the rest; parsed independently of the server's reader. */
export function framesIn(bytes: Buffer): { readonly frames: readonly Frame[]; readonly rest: Buffer } {
  const frames: Frame[] = [];
  let rest = bytes;
  while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
    const end = 9 + rest.readUIntBE(0, 3);
    const stream = rest.readUInt32BE(5) & MAX_31_BITS;
    frames.push({ type: rest.readUInt8(3), flags: rest.readUInt8(4), stream, payload: rest.subarray(9, end) });
    rest = rest.subarray(end);
  }
  return { frames, rest };
}

/** How a connection was ended by the server. */
export interface GoAway {
  readonly last: number;
  readonly code: number;
}

/**
 * A client that sends any bytes, valid HTTP/2 or not, and keeps received frames.
 *
 * Lifecycle: from `to` to `close`, or until the server ends it.
 */
export class RawClient {
  readonly socket: Socket;
  /** All received frames. */
  readonly frames: Frame[] = [];
  /** Number of received bytes. */
  received = 0;
  isClosed = false;
  /** Whether received frames are kept. All are counted in `received`. */
  keepsFrames = true;
  #rest: Buffer = Buffer.alloc(0);
  #pings = 0;
  #changed: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.received += chunk.length;
      const { frames, rest } = framesIn(this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]));
      for (const one of frames) if (this.keepsFrames) this.frames.push(one);
      this.#rest = rest;
      this.#changed();
    });
    // What the server does to the connection shows in `isClosed`.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.isClosed = true;
      this.#changed();
    });
  }

  /**
   * Connects to a loopback port.
   * @param opening sent at once; by default a preface with settings
   */
  static async to(
    port: number,
    opening: Buffer = Buffer.concat([PREFACE, frame(FrameType.settings)]),
  ): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    const client = new RawClient(socket);
    await new Promise((resolve) => socket.once('connect', resolve));
    if (opening.length > 0) socket.write(opening);
    return client;
  }

  /** Sends bytes in one write. Resolves once the system has accepted them, or the connection has ended. */
  send(...bytes: readonly Buffer[]): Promise<void> {
    return new Promise((resolve) => {
      if (this.isClosed) resolve();
      else this.socket.write(Buffer.concat(bytes), () => resolve());
    });
  }

  /** Waits for a condition, checked whenever frames arrive or the connection ends. */
  async until(what: (client: this) => boolean): Promise<void> {
    while (!what(this)) {
      if (this.isClosed) throw new Error('the connection is gone');
      await new Promise<void>((resolve) => (this.#changed = resolve));
    }
  }

  /** Waits for the server to end the connection. */
  async ended(): Promise<GoAway | null> {
    while (!this.isClosed) await new Promise<void>((resolve) => (this.#changed = resolve));
    return this.goAway;
  }

  /** Waits until the server has processed everything that was sent. Gives whether it still answers. */
  async settled(): Promise<boolean> {
    this.#pings += 1;
    const payload = Buffer.alloc(8);
    payload.writeUInt32BE(0xfeed_0000);
    payload.writeUInt32BE(this.#pings, 4);
    await this.send(frame(FrameType.ping, { payload }));
    const isAnswer = ({ type, payload: answer }: Frame): boolean => type === FrameType.ping && answer.equals(payload);
    while (!this.isClosed && !this.frames.some(isAnswer)) {
      await new Promise<void>((resolve) => (this.#changed = resolve));
    }
    return !this.isClosed;
  }

  /** The last received GOAWAY. */
  get goAway(): GoAway | null {
    const last = this.frames.findLast(({ type }) => type === FrameType.goAway);
    return last === undefined ? null : { last: last.payload.readUInt32BE(0), code: last.payload.readUInt32BE(4) };
  }

  /** The frames of a stream. */
  of(stream: number): readonly Frame[] {
    return this.frames.filter((one) => one.stream === stream);
  }

  /** The received content of a stream. */
  content(stream: number): Buffer {
    return Buffer.concat(
      this.of(stream)
        .filter(({ type }) => type === FrameType.data)
        .map(({ payload }) => payload),
    );
  }

  /** The code with which a stream was reset, or `null`. */
  resetCode(stream: number): number | null {
    return (
      this.of(stream)
        .find(({ type }) => type === FrameType.reset)
        ?.payload.readUInt32BE(0) ?? null
    );
  }

  /** Closes the connection abruptly. */
  close(): void {
    this.socket.destroy();
  }
}

import { Flag, FrameType } from '../../src/http2/frame.ts';
import { indexed, literal, literals } from './hpack.ts';
import { frame } from './raw-client.ts';

/** What each request needs, each with one byte: `POST`, `http`, `/`. */
export const SHORT_REQUEST = Buffer.concat([indexed(3), indexed(6), indexed(4)]);

/** The block of a request of a path, with whatever more it says. */
export const requestOf = (path: string, more: Readonly<Record<string, string>> = {}): Buffer =>
  Buffer.concat([indexed(3), indexed(6), literal(4, path), literals(more)]);

/** A request whose headers are one frame. @param flags `endStream` by default, for one without content */
export const ask = (stream: number, flags: number = Flag.endStream, block: Buffer = SHORT_REQUEST): Buffer =>
  frame(FrameType.headers, { stream, flags: Flag.endHeaders | flags, payload: block });

/** Content: these bytes, or so many. */
export const data = (stream: number, bytes: number | Buffer, flags = 0): Buffer =>
  frame(FrameType.data, { stream, flags, payload: typeof bytes === 'number' ? Buffer.alloc(bytes, 97) : bytes });

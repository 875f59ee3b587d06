import { Flag, FrameType } from '../../../src/sidecar/http2/frame.ts';
import { indexed, literal, literals } from './hpack.ts';
import { frame } from './raw-client.ts';

/** The required headers of a request, each in one byte: `POST`, `http`, `/`. */
export const SHORT_REQUEST = Buffer.concat([indexed(3), indexed(6), indexed(4)]);

/** The header block of a request for a path, with additional headers. */
export const requestOf = (path: string, more: Readonly<Record<string, string>> = {}): Buffer =>
  Buffer.concat([indexed(3), indexed(6), literal(4, path), literals(more)]);

/**
 * A request whose headers are one frame.
 * @param flags `endStream` by default, for one without content
 */
export const ask = (stream: number, flags: number = Flag.endStream, block: Buffer = SHORT_REQUEST): Buffer =>
  frame(FrameType.headers, { stream, flags: Flag.endHeaders | flags, payload: block });

/** Content: these bytes, or that many. */
export const data = (stream: number, bytes: number | Buffer, flags = 0): Buffer =>
  frame(FrameType.data, { stream, flags, payload: typeof bytes === 'number' ? Buffer.alloc(bytes, 97) : bytes });

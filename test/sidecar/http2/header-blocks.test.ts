import { type ClientHttp2Session, constants, sensitiveHeaders } from 'node:http2';
import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { ErrorCode, Flag, FrameType } from '../../../src/sidecar/http2/frame.ts';
import { staticFields } from '../../../src/sidecar/http2/header-field.ts';
import type { RequestHead } from '../../../src/sidecar/http2/request-head.ts';
import { indexed, Literal, literal, literals } from './hpack.ts';
import { frame } from './raw-client.ts';
import { answer, brief, stage } from './stage.ts';
import { SHORT_REQUEST } from './requests.ts';

const { serve, session, raw } = stage();

/** Headers that HTTP/2 sets itself, or that may occur or have a value only once. */
const NOT_AS_ONE_LIKES = /^:|^(connection|transfer-encoding|te|host|content-length|expect|cookie|set-cookie|upgrade)$/;
const { HTTP2_HEADER_PATH } = constants;
const known = staticFields.map(({ name }) => name).filter((name) => !NOT_AS_ONE_LIKES.test(name));
const TOKEN = "!#$%&'*+.^_`|~0123456789abcdefghijklmnopqrstuvwxyz-".split('');
const name = fc.oneof(
  fc.constantFrom(...known),
  fc.constantFrom('x-a', 'x-b', 'x-c'),
  fc
    .string({ unit: fc.constantFrom(...TOKEN), minLength: 1, maxLength: 30 })
    .filter((text) => !NOT_AS_ONE_LIKES.test(text) && text !== '__proto__'),
);
const VISIBLE = Array.from({ length: 0x7e - 0x21 + 1 }, (_, index) => String.fromCodePoint(0x21 + index));
const text = fc.string({ unit: fc.constantFrom(...VISIBLE), maxLength: 60 });
const value = fc.oneof(
  text,
  fc.constantFrom('gzip, deflate', '', 'a', 'application/grpc'),
  fc.tuple(text, text).map(([a, b]) => `v${a} \t${b}v`),
  fc.nat(5_000).map((length) => 'long '.repeat(length / 5).trim()),
);
const request = fc
  .record({
    path: text.map((rest) => `/${rest}`),
    fields: fc.uniqueArray(fc.tuple(name, fc.array(value, { minLength: 1, maxLength: 3 }), fc.boolean()), {
      maxLength: 12,
      selector: ([one]) => one,
    }),
  })
  // Lists within the limit.
  .filter(({ fields }) => fields.flatMap(([, values]) => values).join('').length < 30_000);

/** Sends headers; resolves once they are answered. */
const asked = (
  client: ClientHttp2Session,
  { path, fields }: { path: string; fields: [string, string[], boolean][] },
): Promise<unknown> => {
  const headers = Object.fromEntries(fields.map(([one, values]) => [one, values]));
  const secret = fields.filter(([, , isSecret]) => isSecret).map(([one]) => one);
  const stream = client.request(
    { ...headers, [HTTP2_HEADER_PATH]: path, [sensitiveHeaders]: secret },
    { endStream: true },
  );
  return new Promise((resolve, reject) => stream.on('error', reject).on('close', resolve).resume());
};

describe('HeaderBlocks of nghttp2', () => {
  it.each([
    ['with its defaults', {}],
    ['with no table', { maxDeflateDynamicTableSize: 0 }],
    ['with a small table', { maxDeflateDynamicTableSize: 200 }],
  ])('decode the headers of many requests of one connection, %s', async (_how, options) => {
    const heads: RequestHead[] = [];
    const { port } = await serve((stream, head) => {
      heads.push(head);
      return brief(stream);
    });
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 30 }), async (requests) => {
        heads.length = 0;
        const client = session({ port }, { ...options, strictSingleValueFields: false });
        for (const one of requests) await asked(client, one);
        client.destroy();
        const sent = requests.map(({ path, fields }) => ({
          method: 'GET',
          path,
          headers: Object.fromEntries(fields.map(([one, values]) => [one, values.join(', ')])),
        }));
        const came = heads.map(({ method, path, headers }) => ({ method, path, headers: Object.fromEntries(headers) }));
        expect(came).toEqual(sent);
      }),
      { numRuns: 100 },
    );
  });
});

const headers = (stream: number, payload: Buffer, flags: number = Flag.endHeaders | Flag.endStream): Buffer =>
  frame(FrameType.headers, { stream, flags, payload });
const more = (stream: number, payload: Buffer, flags = 0): Buffer =>
  frame(FrameType.continuation, { stream, flags, payload });
/** Returns the path of each stream. */
const paths = async () =>
  raw(
    await serve((stream, { path, headers: others }) => {
      answer(stream, Buffer.from([path, ...others.keys()].join(' ')));
      return { data: () => undefined, ended: () => undefined, closed: () => undefined };
    }),
  );

describe('HeaderBlocks', () => {
  it('are assembled from pieces of any size', async () => {
    const client = await paths();
    const block = literals({ ':method': 'GET', ':scheme': 'http', ':path': '/pieces', a: 'b' });
    const pieces = [...block]
      .map((_, at) => block.subarray(at, at + 1))
      .flatMap((byte, at) => (at % 5 === 0 ? [byte, Buffer.alloc(0)] : [byte]));
    const [first, ...rest] = pieces;
    const last = rest.pop() ?? Buffer.alloc(0);
    await client.send(
      headers(1, first ?? Buffer.alloc(0), Flag.endStream),
      ...rest.map((piece) => more(1, piece)),
      more(1, last, Flag.endHeaders),
    );
    await client.settled();
    expect(String(client.content(1))).toBe('/pieces a');
  });

  it.each([
    ['more than 64 pieces', Array.from({ length: 64 }, () => Buffer.alloc(0))],
    ['more than 32 KiB', [Buffer.alloc(16_384, indexed(2)), Buffer.alloc(16_384, indexed(2))]],
  ])('with %s end the connection', async (_name, pieces) => {
    const client = await paths();
    await client.send(headers(1, SHORT_REQUEST, 0), ...pieces.map((piece) => more(1, piece)));
    expect(await client.ended()).toEqual({ last: 0, code: ErrorCode.enhanceYourCalm });
  });

  it.each([
    ['of 64 pieces', 62, 32_000],
    ['of 2 pieces', 1, 20_000],
  ])('%s are read, and later blocks are intact', async (_name, empty, bytes) => {
    const client = await paths();
    const kept = literal('x-kept', 'yes', Literal.kept);
    const path = Buffer.concat([indexed(2), indexed(6), literal(':path', '/')]);
    const large = literal('x-large', 'a'.repeat(bytes - path.length - kept.length - 12));
    const block = Buffer.concat([path, kept, large]);
    const at = Math.min(16_384, block.length - 1);
    await client.send(
      headers(1, block.subarray(0, at), Flag.endStream),
      ...Array.from({ length: empty }, () => more(1, Buffer.alloc(0))),
      more(1, block.subarray(at, at + 16_384), Flag.endHeaders),
      headers(3, Buffer.concat([SHORT_REQUEST, indexed(62)])),
    );
    await client.settled();
    expect(client.resetCode(1) ?? String(client.content(1))).toBe('/ x-kept x-large');
    expect(String(client.content(3))).toBe('/ x-kept');
  });

  it('that are too large end only their stream, and later blocks can refer to their entries', async () => {
    const client = await paths();
    const many = Array.from({ length: 130 }, (_, n) => literal(`a${n}`, '', Literal.kept));
    await client.send(
      headers(1, Buffer.concat([SHORT_REQUEST, ...many])),
      headers(3, Buffer.concat([SHORT_REQUEST, indexed(62), indexed(63)])),
      // Trailers as well.
      headers(5, SHORT_REQUEST, Flag.endHeaders),
      headers(5, Buffer.concat(Array.from({ length: 130 }, (_, n) => literal(`b${n}`, '', Literal.kept)))),
      headers(7, Buffer.concat([SHORT_REQUEST, indexed(62)])),
    );
    await client.settled();
    expect([client.resetCode(1), String(client.content(3))]).toEqual([ErrorCode.enhanceYourCalm, '/ a129 a128']);
    expect([client.resetCode(5), String(client.content(7))]).toEqual([ErrorCode.protocol, '/ b129']);
  });

  it('of a refused or closed stream are read too', async () => {
    const client = await paths();
    await client.send(
      headers(1, Buffer.concat([SHORT_REQUEST, literal('Upper', 'case')])),
      // What arrives after the reset is not an error.
      headers(1, literal('x-late', '', Literal.kept)),
      headers(3, Buffer.concat([SHORT_REQUEST, indexed(62)])),
    );
    await client.settled();
    expect([client.resetCode(1), String(client.content(3))]).toEqual([ErrorCode.protocol, '/ x-late']);
  });

  it.each<[string, Buffer, number]>([
    ['another frame among them', frame(FrameType.ping, { payload: Buffer.alloc(8) }), ErrorCode.protocol],
    ['an unknown frame among them', frame(0x77), ErrorCode.protocol],
    ['those of another stream among them', more(3, Buffer.alloc(0), Flag.endHeaders), ErrorCode.protocol],
    ['a block that is malformed', more(1, indexed(100), Flag.endHeaders), ErrorCode.compression],
  ])('with %s end the connection', async (_name, bytes, code) => {
    const client = await paths();
    await client.send(headers(1, SHORT_REQUEST, 0), bytes);
    expect(await client.ended()).toEqual({ last: 0, code });
  });

  it.each<[string, Buffer, number]>([
    ['continues headers that were not begun', more(1, SHORT_REQUEST, Flag.endHeaders), ErrorCode.protocol],
    ['has more padding than frame', headers(1, Buffer.of(9, 0x82), Flag.endHeaders | Flag.padded), ErrorCode.protocol],
    [
      'is padded and has no length of it',
      headers(1, Buffer.alloc(0), Flag.endHeaders | Flag.padded),
      ErrorCode.protocol,
    ],
    ['has half a priority', headers(1, Buffer.alloc(4), Flag.endHeaders | Flag.priority), ErrorCode.frameSize],
    ['is on the connection', headers(0, SHORT_REQUEST), ErrorCode.protocol],
    ['is on a stream of the server', headers(2, SHORT_REQUEST), ErrorCode.protocol],
  ])('a frame that %s ends the connection', async (_name, bytes, code) => {
    const client = await paths();
    await client.send(bytes);
    expect(await client.ended()).toEqual({ last: 0, code });
  });

  it('are read with padding and a priority', async () => {
    const client = await paths();
    const padded = Buffer.concat([Buffer.of(3), Buffer.of(0, 0, 0, 0, 16), SHORT_REQUEST, Buffer.alloc(3)]);
    await client.send(headers(1, padded, Flag.endHeaders | Flag.endStream | Flag.padded | Flag.priority));
    await client.settled();
    expect(String(client.content(1))).toBe('/');
  });
});

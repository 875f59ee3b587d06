import { once } from 'node:events';
import { describe, expect, it } from '@jest/globals';
import { MAX_FRAME_BYTES } from '../../../src/sidecar/http2/frame.ts';
import { headerBlock } from '../../../src/sidecar/http2/header-block.ts';
import { HeaderDecoder } from '../../../src/sidecar/http2/header-decoder.ts';
import { stage } from './stage.ts';

const { serve, session } = stage();
const LENGTHS = [0, 1, 126, 127, 128, 254, 255, 383, 10_000];
const headers = {
  ':status': '200',
  'content-type': 'application/grpc',
  ...Object.fromEntries(LENGTHS.map((length) => [`x-${length}`, 'v'.repeat(length)])),
  ['n'.repeat(300)]: 'long',
};

describe('headerBlock', () => {
  it('is decoded to the same headers, whatever was decoded before', () => {
    const decoder = new HeaderDecoder();
    for (let n = 0; n < 3; n += 1) {
      const list = decoder.decode(headerBlock(headers));
      expect(Array.isArray(list) && list.map(({ name, value }) => [name, value])).toEqual(Object.entries(headers));
    }
    expect(headerBlock({ ':status': '200' })).toEqual(Buffer.of(0x88));
  });

  it('is decoded by nghttp2', async () => {
    const { port } = await serve((stream) => {
      stream.respond(headerBlock(headers), { ends: true });
      return { data: () => undefined, ended: () => undefined, closed: () => undefined };
    });
    const client = session({ port });
    for (let n = 0; n < 3; n += 1) {
      const [head] = await once(client.request(), 'response');
      expect(head).toMatchObject({ ...headers, ':status': 200 });
    }
  });

  it('throws for more than one frame', () => {
    const name = 'a'.repeat(20);
    const most = MAX_FRAME_BYTES - 1 - 1 - name.length - 3;
    expect(headerBlock({ [name]: 'v'.repeat(most) })).toHaveLength(MAX_FRAME_BYTES);
    expect(() => headerBlock({ [name]: 'v'.repeat(most + 1) })).toThrow('headers of 16385 bytes do not fit one frame');
  });
});

import { Flag } from '../../../src/sidecar/http2/frame.ts';
import type { Http2ServerOptions } from '../../../src/sidecar/http2/server.ts';
import { literal } from './hpack.ts';
import type { RawClient } from './raw-client.ts';
import { ask, data, SHORT_REQUEST } from './requests.ts';
import { echo, type stage } from './stage.ts';

/** Many frames in a row. */
export const times = (count: number, bytesOf: (n: number) => Buffer): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, n) => bytesOf(n)));

/** A server whose clock stands still, so that buckets do not refill, and another client that is served meanwhile. */
export function flooding({ raw, serve }: ReturnType<typeof stage>) {
  return async (onStream: Http2ServerOptions['onStream'] = echo) => {
    const clock = { ms: 0 };
    const { port } = await serve((stream, head) => (head.headers.has('other') ? echo : onStream)(stream, head), {
      monotonicMs: () => clock.ms,
    });
    const other = await raw({ port });
    const block = Buffer.concat([SHORT_REQUEST, literal('other', '')]);
    let asked = 0;
    const othersAreServed = async (): Promise<void> => {
      asked += 1;
      const stream = 2 * asked - 1;
      const content = data(stream, Buffer.from('served'), Flag.endStream);
      await other.send(ask(stream, 0, block), content);
      await other.until(() => other.content(stream).toString() === 'served');
    };
    return { clock, port, othersAreServed };
  };
}

/** Sends the same bytes repeatedly until the connection ends, at most `count` times. */
export const flood = async (client: RawClient, bytesOf: (n: number) => Buffer, count: number): Promise<void> => {
  const AT_ONCE = 1_000;
  for (let n = 0; n < count && !client.isClosed; n += AT_ONCE) {
    await client.send(times(Math.min(AT_ONCE, count - n), (index) => bytesOf(n + index)));
  }
};

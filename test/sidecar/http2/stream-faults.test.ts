import { describe, expect, it } from '@jest/globals';
import { ErrorCode, Flag } from '../../../src/sidecar/http2/frame.ts';
import { answer, noting, stage, type Noted } from './stage.ts';
import { ask, data, requestOf } from './requests.ts';

const { raw, serve } = stage();
const END = Flag.endStream;
const askOf = (stream: number, flags = 0): Buffer => ask(stream, flags, requestOf(`/${stream}`));
const all = (noted: Noted): void => answer(noted.stream, Buffer.concat(noted.pieces));

const fault = (): never => {
  throw new Error('a fault');
};
const isOne = (noted: Noted): boolean => noted.path === '/1';

describe("an exception of a stream's listener", () => {
  it.each<[string, Parameters<typeof noting>[0], string, number | null]>([
    ['as it begins', { begun: (noted) => isOne(noted) && fault() }, '', ErrorCode.internal],
    ['at its content', { data: (noted) => isOne(noted) && fault() }, 'data:2 closed', ErrorCode.internal],
    [
      'at its end',
      { ended: (noted) => (isOne(noted) ? fault() : all(noted)) },
      'data:2 ended closed',
      ErrorCode.internal,
    ],
    ['once it is over', { ended: all, closed: (noted) => isOne(noted) && fault() }, 'data:2 ended closed', null],
    [
      'at its content, and again once it is over',
      { data: (noted) => isOne(noted) && fault(), closed: (noted) => isOne(noted) && fault() },
      'data:2 closed',
      ErrorCode.internal,
    ],
  ])('%s ends only that stream, and is reported', async (when, then, events, code) => {
    const faults: unknown[] = [];
    const { eventsOf, onStream } = noting({ ended: all, ...then });
    const client = await raw(
      await serve(onStream, {
        onFault: (error) => {
          faults.push(error);
          // The fault handler throws too.
          fault();
        },
      }),
    );
    await client.send(askOf(1), data(1, 2, END), askOf(3), data(3, 3, END));
    expect(await client.settled()).toBe(true);
    expect([eventsOf('/1'), client.resetCode(1), String(client.content(3))]).toEqual([events, code, 'aaa']);
    expect(faults).toHaveLength(when.includes('again') ? 2 : 1);
  });

  it('on the end of its connection does not keep other streams from being closed', async () => {
    const faults: unknown[] = [];
    const { eventsOf, onStream } = noting({ closed: fault });
    const { port } = await serve(onStream, { onFault: (error) => faults.push(error) });
    const client = await raw({ port });
    await client.send(askOf(1), askOf(3), askOf(5));
    await client.settled();
    client.close();
    const after = await raw({ port });
    while (faults.length < 3) await after.settled();
    expect(['/1', '/3', '/5'].map(eventsOf)).toEqual(['closed', 'closed', 'closed']);
  });

  it('without a fault handler does not end the process', async () => {
    const client = await raw(await serve(noting({ data: fault, ended: all }).onStream));
    await client.send(askOf(1), data(1, 2, END), askOf(3, END));
    expect(await client.settled()).toBe(true);
    expect(client.resetCode(1)).toBe(ErrorCode.internal);
  });
});

describe('a listener that resets its stream', () => {
  it.each<[string, Parameters<typeof noting>[0], string]>([
    ['as it begins', { begun: ({ stream }) => stream.reset(ErrorCode.cancel) }, 'closed'],
    ['at its content', { data: ({ stream }) => stream.reset(ErrorCode.cancel) }, 'data:2 closed'],
    ['at its end', { ended: ({ stream }) => stream.reset(ErrorCode.cancel) }, 'data:2 ended closed'],
  ])('%s gets `closed`, and nothing afterwards', async (_when, then, events) => {
    const { eventsOf, onStream } = noting(then);
    const client = await raw(await serve(onStream));
    await client.send(askOf(1), data(1, 2, END));
    expect(await client.settled()).toBe(true);
    expect([eventsOf('/1'), client.resetCode(1)]).toEqual([events, ErrorCode.cancel]);
  });
});

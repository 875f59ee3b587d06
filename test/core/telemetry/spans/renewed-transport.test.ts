import { describe, expect, it } from '@jest/globals';
import type { BatchTransport } from '../../../../src/core/telemetry/spans/transport.ts';
import { renewedTransport } from '../../../../src/core/telemetry/spans/renewed-transport.ts';

// Issue 37, point 5: a channel that failed was kept for six deadlines, and its name looked up at most each 30 s.
describe('renewedTransport', () => {
  const made: { readonly sent: string[]; isShut: boolean }[] = [];
  let fails = false;
  const transport = renewedTransport<string>((): BatchTransport<string> => {
    const one = { sent: [] as string[], isShut: false };
    made.push(one);
    return {
      export: (batch, done) => {
        one.sent.push(batch);
        done(fails ? { code: 1, error: new Error('no answer') } : { code: 0 });
      },
      forceFlush: () => Promise.resolve(),
      shutdown: () => {
        one.isShut = true;
        return Promise.resolve();
      },
    };
  });
  const send = (batch: string): boolean => {
    let isTaken = false;
    transport.export(batch, ({ error }) => (isTaken = error === undefined));
    return isTaken;
  };

  it('keeps its connection while batches are taken, and makes another after each failure', () => {
    expect([send('a'), send('b'), made.length]).toEqual([true, true, 1]);
    fails = true;
    expect([send('c'), made.length]).toEqual([false, 2]);
    fails = false;
    expect(send('d')).toBe(true);
    expect(made).toEqual([
      { sent: ['a', 'b', 'c'], isShut: true },
      { sent: ['d'], isShut: false },
    ]);
  });

  it('ends the connection it has', async () => {
    await transport.shutdown();
    expect(made.map(({ isShut }) => isShut)).toEqual([true, true]);
  });
});

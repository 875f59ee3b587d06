import { describe, expect, it } from '@jest/globals';
import { type RawClient, reset } from '../http2/raw-client.ts';
import { done, FIRST_STREAM, processorMs, rawStage, wholeCheck } from './raw-checks.ts';

const serving = rawStage();

describe('AuthorizationServer and a flood', () => {
  it('of 90,000 checks that are reset at once has no turn that is long', async () => {
    const turn = { beganMs: 0, longestMs: 0 };
    const { server, client } = await serving(done, {
      turn: {
        begins: () => (turn.beganMs = processorMs()),
        over: () => (turn.longestMs = Math.max(turn.longestMs, processorMs() - turn.beganMs)),
      },
    });
    const clients = await Promise.all(Array.from({ length: 6 }, client));
    const count = 15_000;
    const flood = Array.from({ length: count }, (_, n) => {
      const stream = FIRST_STREAM + 2 * n;
      return Buffer.concat([wholeCheck(stream, Buffer.from('a')), reset(stream)]);
    });
    const last = FIRST_STREAM + 2 * count;
    await Promise.all(clients.map((one) => one.send(...flood, wholeCheck(last, Buffer.from('last')))));
    const isAnswered = (one: RawClient) => one.content(last).includes('done');
    for (const one of clients) await one.until(isAnswered);
    expect(server.inFlight).toBe(0);
    expect(turn.longestMs).toBeLessThan(25);
  });
});

import { describe, expect, it } from '@jest/globals';
import { type RawClient, reset } from '../http2/raw-client.ts';
import { done, FIRST_STREAM, rawStage, wholeCheck } from './raw-checks.ts';

const serving = rawStage();

describe('AuthorizationServer under a flood', () => {
  it('of 90,000 checks that are reset at once, decides hardly any', async () => {
    let decided = 0;
    const { server, client } = await serving((bytes, call) => {
      decided += 1;
      return done(bytes, call);
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
    // The last one of each client, and those where a read ended between a check and its reset.
    expect(decided).toBeLessThan(900);
  });

  it('of three times as many checks as may wait, reads no faster than it decides, and refuses none', async () => {
    const { server, client } = await serving();
    const clients = await Promise.all(Array.from({ length: 4 }, client));
    const count = 200;
    const flood = Array.from({ length: count }, (_, n) => wholeCheck(FIRST_STREAM + 2 * n, Buffer.alloc(1_500)));
    await Promise.all(clients.map((one) => one.send(...flood)));
    const streams = Array.from({ length: count }, (_, n) => FIRST_STREAM + 2 * n);
    const isDone = (one: RawClient) => streams.every((stream) => one.content(stream).length > 0);
    for (const one of clients) await one.until(isDone);
    const answers = clients.flatMap((one) => streams.map((stream) => one.content(stream).includes('done 1500')));
    expect(answers.filter((isAllowed) => !isAllowed)).toEqual([]);
    expect(server.inFlight).toBe(0);
  });
});

import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { adminAddressFrom } from '../../../src/tools/doctor/collect/admin-address.ts';
import { collectRemit } from '../../../src/tools/doctor/collect/remit.ts';
import { isProblem } from '../../../src/core/runtime/problem.ts';

const BUILD = 'remit_build_info{version="0.1.0",node="26.1.0"} 1\n';
const samples = (count: number): string => Array.from({ length: count }, (_one, n) => `a${n} 1\n`).join('');

describe('what a Remit says at its admin address', () => {
  let server: Server;
  let metrics = '';
  let place = '';

  beforeAll(async () => {
    server = createServer(({ url }, answer) => {
      answer.statusCode = url === '/readyz' || url === '/metrics' ? 200 : 404;
      answer.end(url === '/metrics' ? metrics : '');
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    // Safe: it listens on TCP.
    place = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    await new Promise((resolve) => {
      server.close(resolve);
    });
  });

  it.each([
    ['all metrics', 19_999, []],
    ['more metrics than are read', 20_002, ['has more than 20000 samples of metrics: the last 3 were not read']],
  ])('has %s', async (_what, count, unread) => {
    metrics = `${BUILD}${samples(count)}`;
    const admin = adminAddressFrom(place, 'a Remit');
    if (isProblem(admin)) throw new Error(admin.problem);
    const query = { admin, config: null, isWanted: true, environment: {}, nowMs: 0 };
    const collected = await collectRemit(query);
    expect(collected.unread).toEqual(unread.map((text) => `Remit at \`${place}\` ${text}`));
    expect(collected.facts.remit?.live?.samples.has('remit_build_info')).toBe(true);
  });
});

import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { adminAddressFrom } from '../../../src/tools/doctor/collect/admin-address.ts';
import { collectRemit } from '../../../src/tools/doctor/collect/remit.ts';
import { isProblem } from '../../../src/core/runtime/problem.ts';
import type { LiveRemit } from '../../../src/tools/doctor/remit/remit-facts.ts';

const BUILD = 'remit_build_info{version="0.1.0",node="26.1.0"} 1\n';
const samples = (count: number): string => Array.from({ length: count }, (_one, n) => `a${n} 1\n`).join('');

describe('what a Remit says at its admin address', () => {
  let server: Server;
  let metrics = '';
  let readiness: readonly [status: number, text: string] = [200, ''];
  let place = '';

  beforeAll(async () => {
    server = createServer(({ url }, answer) => {
      const [status, text] = url === '/readyz' ? readiness : [url === '/metrics' ? 200 : 404, metrics];
      answer.statusCode = status;
      answer.end(text);
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

  const collected = () => {
    const admin = adminAddressFrom(place, 'a Remit');
    if (isProblem(admin)) throw new Error(admin.problem);
    return collectRemit({ admin, config: null, isWanted: true, environment: {}, nowMs: 0 });
  };

  it.each([
    ['all metrics', 19_999, []],
    ['more metrics than are read', 20_002, ['has more than 20000 samples of metrics: the last 3 were not read']],
  ])('has %s', async (_what, count, unread) => {
    metrics = `${BUILD}${samples(count)}`;
    const { facts, unread: problems } = await collected();
    expect(problems).toEqual(unread.map((text) => `Remit at \`${place}\` ${text}`));
    expect(facts.remit?.live?.samples.has('remit_build_info')).toBe(true);
  });

  it.each<[string, number, string, LiveRemit['unmet']]>([
    ['ready, whatever its text is', 200, 'keys: none', []],
    [
      'not ready',
      503,
      'keys: no keys of a: b\nsvid: no SVID\n',
      [
        ['keys', 'no keys of a: b'],
        ['svid', 'no SVID'],
      ],
    ],
    ['not ready, without a word', 503, '', [['', '`/readyz` does not say why']]],
    ['not ready, with blank lines', 503, '\n \r\n', [['', '`/readyz` does not say why']]],
    ['not ready, without a gate', 503, 'no', [['', 'no']]],
  ])('is %s', async (_what, status, text, unmet) => {
    metrics = BUILD;
    readiness = [status, text];
    expect((await collected()).facts.remit?.live?.unmet).toEqual(unmet);
  });

  it.each([301, 302, 307, 404, 500])('is no Remit with the status %d of `/readyz`', async (status) => {
    metrics = BUILD;
    readiness = [status, ''];
    expect((await collected()).unread).toEqual([expect.stringContaining('is not the admin address of a Remit')]);
  });
});

import { beforeAll, expect, it } from '@jest/globals';
import { OwnSvid } from '../../../src/agent/run/own-svid.ts';
import { SvidRounds } from '../../../src/agent/service/svid-rounds.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { until } from '../../until.ts';
import { type RunDomain, startRunDomain } from '../run/domain.ts';

const folder = testFolders(async () => {
  svid.close();
  await domain.close();
});
let domain: RunDomain;
let svid: OwnSvid;
beforeAll(async () => {
  domain = await startRunDomain(folder());
  svid = await OwnSvid.open(domain.place.svid, systemPorts);
});

// Issue 44, point 3.
it('a task whose first call was before a rotation has its turn as the others, unless it is called without a connection again', async () => {
  const first = svid.thumbprint() ?? '';
  // The last place of 5,000 tasks: a minute after the rotation.
  const ports = { monotonicMs: () => 0, randomBytes: (size: number) => Buffer.alloc(size, 0xff) };
  const turn = new SvidRounds(svid, ports, () => 5_000).turn(first);
  turn.hasten();
  await domain.rotate();
  await until(() => svid.thumbprint() !== first);
  expect(turn.thumbprint()).toBe(first);
  turn.hasten();
  expect(turn.thumbprint()).toBe(svid.thumbprint());
});

import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { testFolder } from '../../builders/test-folders.ts';
import { describeWith, envoyPart, ownNetworkPart } from '../../parts.ts';
import { inOwnNetwork } from './in-own-network.ts';

// Issue 37, point 5: gRPC looked up the name of an authority at most each 30 s, so that 571 of 1,099 calls were lost in a restart.
describeWith(ownNetworkPart(), 'an authority that is restarted at another address, as a pod', () => {
  const scratch = testFolder();
  describeWith(envoyPart(), 'behind its name in DNS', () => {
    it('loses no call of a sidecar that holds the task, with the default lease and drain', async () => {
      const said = await inOwnNetwork('restart-elsewhere.ts', ['--drain', '5'], join(scratch.folder, 'resolv.conf'));
      const { calls, allowed, excused, lost } = JSON.parse(said);
      // Where the machine is so slow that the restart outlasts the lease, only what came long after it counts.
      expect({ calls: calls > 200, answered: allowed + excused, lost }).toEqual({
        calls: true,
        answered: calls,
        lost: {},
      });
    });
  });
});

import { execFileSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from '@jest/globals';
import { fillDisk } from '../full-disk.ts';
import { both, describeWith, envoyPart } from '../parts.ts';
import type { Part } from '../parts.ts';
import { callPayments, declare, mustDeclare, payment, scratchFolder, startDomain } from './domain.ts';

/** Mounts a small disk; null where this user may not mount. */
function mountSmall(at: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=0700', 'tmpfs', at], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const isRoot = process.getuid?.() === 0;
const root: Part<true> = { name: 'root, to mount a tmpfs', found: isRoot || null, enable: 'sudo npm test' };

describeWith(both(envoyPart(), root), 'a full disk under the state file', ([envoy]) => {
  it('denies with ledger.unavailable, and recovers when there is space', async () => {
    const { folder, remove } = await scratchFolder('remit-full-');
    expect(mountSmall(folder)).toBe(true);
    try {
      const domain = await startDomain(envoy, { folder });
      try {
        const { planner } = domain.stage;
        const { token } = await mustDeclare(planner, domain);
        const pay = { token, ...payment(1) };
        expect(await callPayments(planner, domain, pay)).toEqual([201, null]);

        fillDisk(join(folder, 'ballast'));
        const refused = await until(
          () => callPayments(planner, domain, pay),
          ([status]) => status !== 201,
        );
        expect(refused).toEqual([503, 'ledger.unavailable']);
        const unissued = await declare(planner, domain);
        expect([unissued.status, JSON.parse(unissued.body).error]).toEqual([503, 'temporarily_unavailable']);

        await rm(join(folder, 'ballast'));
        expect(
          await until(
            () => callPayments(planner, domain, pay),
            ([status]) => status === 201,
          ),
        ).toEqual([201, null]);
      } finally {
        await domain.stop();
      }
    } finally {
      execFileSync('umount', ['-l', folder]);
      await remove();
    }
  });
});

/** Tries at most 100 times, 50 ms apart; returns the last answer. */
async function until<T>(attempt: () => Promise<T>, isEnough: (answer: T) => boolean): Promise<T> {
  for (let tries = 0; tries < 100; tries += 1) {
    const answer = await attempt();
    if (isEnough(answer)) return answer;
    await delay(50);
  }
  return attempt();
}

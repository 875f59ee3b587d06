import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { both, describeWith, imagePart } from '../../parts.ts';
import type { Part } from '../../parts.ts';
import { pageCommands } from '../../pages/page-commands.ts';
import { longClusterPart } from '../cluster-part.ts';
import { installByPage, PAGE, permit } from '../installed.ts';
import { NEXT, NEXT_IMAGE, publishNext } from '../minor.ts';
import { currentRelease, releaseOf, VERSION } from '../release.ts';
import { startLife } from './life.ts';
import type { Life } from './life.ts';

jest.setTimeout(1_800_000);

/** The release before this one. */
const FORMER = '00ed44e8';
const [UPGRADE = ''] = pageCommands(PAGE, 'Upgrade, and back');
/**
 * What a sidecar of that release denies by until it has found its authority again, and when a check has waited for 50 ms since its node has no processor
 * time: `overloaded` came 6 s before the upgrade began, at a load of 37.
 */
const BY_FORMER_SIDECARS = {
  answers: /^503 (task\.state-unavailable|token\.keys-unavailable|internal|overloaded)/,
  why: 'sidecars of the former release look for an authority that has moved each 30 s alone',
};

/** The history with that commit, as a part: a shallow clone has none. */
function historyPart(): Part<true> {
  const words = ['cat-file', '-e', `${FORMER}^{commit}`];
  let found: true | null = true;
  try {
    execFileSync('git', words, { cwd: import.meta.dirname, stdio: 'ignore' });
  } catch {
    found = null;
  }
  return { name: `the commit ${FORMER}`, found, enable: 'git fetch --unshallow', isOptional: true };
}

// In this order: the former release is installed, then upgraded to this one as the next minor version.
describeWith(
  both(both(longClusterPart(), imagePart()), historyPart()),
  'an upgrade from the former release (issue 38, point 4)',
  ([[parts]]) => {
    let life: Life;
    beforeAll(async () => {
      life = await startLife(parts, { release: releaseOf(FORMER), tools: { adminVolume: 'envoy-admin' } });
      await installByPage(life.cluster, life.folder);
      await permit(life.cluster, life.folder);
      await publishNext(life.cluster, await currentRelease());
    });
    afterAll(async () => {
      await life?.close();
    });

    it('is done by the command of the page: what is lost is lost by sidecars of before, and none by those of after', async () => {
      const authority = await life.event(
        '`helm upgrade` from the former release, with its sidecars and agents',
        async () => {
          await life.cluster.run(['sh', '-c', UPGRADE], { cwd: life.folder });
          await life.authorityReady();
          await life.follow(NEXT, VERSION);
        },
        BY_FORMER_SIDECARS,
      );
      life.agentImage = NEXT_IMAGE;
      const sidecars = await life.event('tool servers restarted after it', async () => {
        await life.restartTools();
        await life.follow(NEXT, NEXT);
      });
      const after = await life.event('pod of the authority deleted after it', async () => {
        await life.cluster.kubectl('-n remit delete pod remit-authority-0');
        await life.authorityReady();
      });
      expect([authority, sidecars, after]).toEqual([{}, {}, {}]);
    });
  },
);

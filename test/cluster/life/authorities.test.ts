import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { both, describeWith, faketimePart, imagePart, postgresPart } from '../../parts.ts';
import { longClusterPart } from '../cluster-part.ts';
import { DATABASE_VALUES, startDatabase } from '../database.ts';
import type { Database } from '../database.ts';
import { installByPage, permit } from '../installed.ts';
import { VOLUMES } from '../machine/layout.ts';
import { currentRelease } from '../release.ts';
import { publishVariant } from '../variant.ts';
import { CHART, startLife } from './life.ts';
import type { Life } from './life.ts';

jest.setTimeout(1_800_000);

const NO_AUTHORITY = /task\.state-unavailable|token\.keys-unavailable|ledger\.unavailable/;
/** Room on each volume of an authority. */
const ROOM_MIB = 400;
/** How long a volume is full. */
const FULL_MS = 30_000;

const LIBRARY = '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1';
/** The file of an image that says by how much the wall clock of its programs is off. */
const CLOCK = 'etc/faketimerc';
/** Root folders of containers, on the node. */
const ROOTS = '/run/containerd/io.containerd.runtime.v2.task/k8s.io/*/rootfs';
/** How long a clock is off. */
const OFF_MS = 20_000;

const VALUES = {
  replicaCount: 3,
  identity: { trustDomain: 'acme.test' },
  authority: { database: DATABASE_VALUES },
  sidecar: { namespaces: ['demo'], audiences: ['https://tools.acme.test'] },
};

// In this order: one authority on SQLite, then three on a PostgreSQL.
describeWith(
  both(both(longClusterPart(), imagePart()), both(postgresPart(), faketimePart())),
  'the life of authorities (issue 38, point 4)',
  ([[parts], [binaries]]) => {
    let life: Life;
    let database: Database;
    beforeAll(async () => {
      life = await startLife(parts);
      for (const name of VOLUMES) {
        const at = join(life.cluster.layout.volumes, name);
        await life.cluster.run(['mount', '-t', 'tmpfs', '-o', `size=${ROOM_MIB}m`, 'tmpfs', at]);
      }
      await installByPage(life.cluster, life.folder);
      await permit(life.cluster, life.folder);
    });
    afterAll(async () => {
      await database?.close();
      await life?.close();
    });

    it('loses no call that needs no authority while its pod is deleted', async () => {
      const lost = await life.event(
        'pod of the only authority deleted',
        async () => {
          await life.cluster.kubectl('-n remit delete pod remit-authority-0');
          await life.authorityReady();
        },
        { answers: NO_AUTHORITY, why: 'away for longer than the lease, or a token that a sidecar has not seen' },
      );
      expect(lost).toEqual({});
    });

    it('denies with a reason while the volume of its authority is full, and goes on when there is room again', async () => {
      const claim = '-n remit get pvc state-remit-authority-0 -o jsonpath={.spec.volumeName}';
      const fill = join(life.cluster.layout.volumes, await life.cluster.kubectl(claim), 'fill');
      const lost = await life.event(
        `volume of the only authority full for ${FULL_MS / 1_000} s`,
        async () => {
          await life.cluster.tried(['dd', 'if=/dev/zero', `of=${fill}`, 'bs=1M']);
          await new Promise((done) => setTimeout(done, FULL_MS));
          await life.cluster.run(['rm', fill]);
        },
        { answers: NO_AUTHORITY, why: 'an authority that cannot keep a record or a change denies' },
      );
      expect(lost).toEqual({});
      await life.authorityReady();
      expect(
        await life.event('that volume with room again, tool servers restarted', () => life.restartTools()),
      ).toEqual({});
    });

    it('starts when the kubelet has opened its volume to another group (point 6)', async () => {
      const lost = await life.event(
        'volume of the only authority opened to another group (`fsGroup`)',
        async () => {
          await life.upgrade('--set podSecurityContext.fsGroup=2000');
          await life.authorityReady();
        },
        { answers: NO_AUTHORITY, why: 'away for longer than the lease' },
      );
      expect(await life.cluster.kubectl('-n remit logs remit-authority-0')).toContain('`fsGroup`');
      expect(lost).toEqual({});
    });

    /** Steps the wall clock of all containers with that image. */
    const step = (by: string): Promise<string> =>
      life.cluster.run(['sh', '-c', `for file in ${ROOTS}/${CLOCK}; do echo ${by} > $file; done`]);

    it('loses no call when the clock steps by seconds, and denies with a reason while it is an hour off', async () => {
      const variant = {
        tag: 'clock',
        files: { 'usr/lib/faketime.so.1': { from: LIBRARY }, [CLOCK]: '+0\n' },
        environment: [
          'LD_PRELOAD=/usr/lib/faketime.so.1',
          `FAKETIME_TIMESTAMP_FILE=/${CLOCK}`,
          'FAKETIME_CACHE_DURATION=1',
          'FAKETIME_DONT_RESET=1',
          'DONT_FAKE_MONOTONIC=1',
          'FAKETIME_DONT_FAKE_MONOTONIC=1',
        ],
      };
      await publishVariant(life.cluster, await currentRelease(), variant);
      await life.upgrade(`--set image.tag=${variant.tag}`);
      await life.authorityReady();
      await life.restartTools();
      const wait = (): Promise<unknown> => new Promise((done) => setTimeout(done, OFF_MS));
      const small = await life.event('clock of Remit steps by 4 s, forward and back', async () => {
        for (const by of ['+4', '+0', '-4', '+0']) {
          await step(by);
          await wait();
        }
      });
      const large = await life.event(
        `clock of Remit an hour ahead for ${OFF_MS / 1_000} s`,
        async () => {
          await step('+1h');
          await wait();
          await step('+0');
          await wait();
        },
        {
          // With a reason of Remit each: a sidecar without an SVID stays in its Service.
          answers: /^403 identity\.invalid|^401 token\.|^503 (?:task|token|ledger)\./,
          why: 'certificates and tokens have expired by that clock',
        },
      );
      expect([small, large]).toEqual([{}, {}]);
      expect(await life.event('that clock right again', wait)).toEqual({});
    });

    it('loses no call when one of three authorities on a PostgreSQL is deleted', async () => {
      const { cluster, folder } = life;
      await cluster.run(['helm', 'uninstall', 'remit', '-n', 'remit', '--wait']);
      database = await startDatabase(cluster, binaries);
      writeFileSync(join(folder, 'values.yaml'), JSON.stringify(VALUES));
      await cluster.kubectl('-n remit delete pvc --all');
      for (const name of VOLUMES) {
        const unbound = JSON.stringify({ spec: { claimRef: null } });
        await cluster.run(['kubectl', 'patch', 'pv', name, '-p', unbound]);
        await cluster.run(['sh', '-c', `rm -rf ${join(cluster.layout.volumes, name)}/*`]);
      }
      await cluster.run(
        `helm install remit ${CHART} -n remit --wait --timeout 540s -f values.yaml --set policies.existingConfigMap=remit-acme`.split(
          ' ',
        ),
        { cwd: folder },
      );
      await life.restartTools();
      const lost = await life.event('pod of one of three authorities on PostgreSQL deleted', async () => {
        await cluster.kubectl('-n remit delete pod remit-authority-1');
        await life.authorityReady();
      });
      expect(lost).toEqual({});
    });

    it('loses no call when three authorities on a PostgreSQL are replaced one after the other', async () => {
      const lost = await life.event('three authorities on PostgreSQL replaced, one by one', async () => {
        await life.cluster.kubectl('-n remit rollout restart statefulset/remit-authority');
        await life.authorityReady();
      });
      expect(lost).toEqual({});
    });
  },
);

import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { both, describeWith, imagePart } from '../../parts.ts';
import { pageCommands } from '../../pages/page-commands.ts';
import { register } from '../addons.ts';
import { longClusterPart } from '../cluster-part.ts';
import { startTools, TOOLS } from '../demo.ts';
import { installByPage, PAGE, permit } from '../installed.ts';
import { NEXT, publishNext } from '../minor.ts';
import { currentRelease, VERSION } from '../release.ts';
import { CHART, startLife } from './life.ts';
import type { Life } from './life.ts';

jest.setTimeout(1_800_000);

/** The upgrade of the page, which takes the newest version. */
const [UPGRADE = ''] = pageCommands(PAGE, 'Upgrade, and back');
const NOT_PULLED = { status: 1, stderr: expect.stringContaining('remit-check not ready') };

// In this order: one installation, upgraded, rolled back, and changed to one Remit on the node, each under load.
describeWith(
  both(longClusterPart(), imagePart()),
  'upgrades, rollbacks and another mode (issue 38, point 4)',
  ([parts]) => {
    let life: Life;
    let former = 0;
    beforeAll(async () => {
      life = await startLife(parts);
      await installByPage(life.cluster, life.folder);
      await permit(life.cluster, life.folder);
      await publishNext(life.cluster, await currentRelease());
    });
    afterAll(async () => {
      await life?.close();
    });

    /** The revision that is in force. */
    const deployed = async (): Promise<number> => {
      const history: readonly { readonly revision: number; readonly status: string }[] = JSON.parse(
        (await life.helm('history remit -n remit -o json')).stdout,
      );
      return history.findLast(({ status }) => status === 'deployed')?.revision ?? 0;
    };

    it('loses no call when the image of an upgrade cannot be pulled: the check before it fails', async () => {
      let ran;
      const lost = await life.event('`helm upgrade` with an image that cannot be pulled', async () => {
        ran = await life.helm(
          `upgrade remit ${CHART} -n remit --reset-then-reuse-values --set image.tag=nowhere --timeout 15s`,
        );
      });
      expect(lost).toEqual({});
      expect(ran).toMatchObject(NOT_PULLED);
    });

    it('loses no call in an upgrade by one minor version: the authority, then sidecars', async () => {
      former = await deployed();
      const authority = await life.event('`helm upgrade` by one minor version', async () => {
        await life.cluster.run(['sh', '-c', UPGRADE], { cwd: life.folder });
        await life.authorityReady();
        await life.follow(NEXT, VERSION);
      });
      const sidecars = await life.event(
        'tool servers restarted after it, with sidecars of the new version',
        async () => {
          await life.restartTools();
          await life.follow(NEXT, NEXT);
        },
      );
      expect([authority, sidecars]).toEqual([{}, {}]);
    });

    it('loses no call when a rollback leads to an upgrade that had failed: the check before it fails', async () => {
      let ran;
      const lost = await life.event('`helm rollback` to a failed upgrade', async () => {
        ran = await life.helm('rollback remit -n remit --timeout 15s');
      });
      expect(lost).toEqual({});
      expect(ran).toMatchObject(NOT_PULLED);
    });

    it('loses no call in a rollback by one minor version: the authority, then sidecars', async () => {
      const authority = await life.event('`helm rollback` by one minor version', async () => {
        const { status, stderr } = await life.helm(`rollback remit ${former} -n remit`);
        expect([status, stderr]).toEqual([0, stderr]);
        await life.authorityReady();
        await life.follow(VERSION, NEXT);
      });
      const sidecars = await life.event('tool servers restarted after it, with sidecars of before', async () => {
        await life.restartTools();
        await life.follow(VERSION, VERSION);
      });
      expect([authority, sidecars]).toEqual([{}, {}]);
    });

    it('runs the authority as any user of group 0, as OpenShift chooses a user (issue 38, point 6)', async () => {
      const namespace = 'any-user';
      const name = `spiffe://acme.test/ns/${namespace}/sa/remit-authority`;
      const selectors = [`k8s:ns:${namespace}`, 'k8s:sa:remit-authority'];
      await register(life.cluster, [{ id: name, selectors, dns: [`remit-authority.${namespace}.svc`] }]);
      const user = 1_000_660_000;
      // What the security context constraints of a namespace there put into its pods.
      const chosen = `podSecurityContext.runAsUser=${user},podSecurityContext.fsGroup=${user},securityContext.runAsUser=${user}`;
      const groups = 'podSecurityContext.runAsGroup=0,securityContext.runAsGroup=0';
      const values = `--set mode=authority --set identity.trustDomain=acme.test --set ${chosen},${groups}`;
      const { status, stderr } = await life.helm(`install remit ${CHART} -n ${namespace} --create-namespace ${values}`);
      expect([status, stderr]).toEqual([0, stderr]);
      await life.waitFor(`-n ${namespace} rollout status statefulset/remit-authority`);
      const words = ['-n', namespace, 'exec', 'remit-authority-0', '--', '/usr/bin/node', '-p'];
      const ids = 'process.getuid() + " " + process.getgid()';
      expect(await life.cluster.run(['kubectl', ...words, ids])).toBe(`${user} 0\n`);
    });

    const nodeReady = (): Promise<string> => life.waitFor('-n remit rollout status daemonset/remit-node');
    /** Replaces the pod of the DaemonSet, and waits until that of before is gone. */
    async function restartNode(): Promise<void> {
      const pods = '-n remit get pods -l app.kubernetes.io/component=node -o name';
      const former = (await life.cluster.kubectl(pods)).trim();
      await life.cluster.kubectl('-n remit rollout restart daemonset/remit-node');
      await nodeReady();
      // The new pod is ready before the one of before drains.
      await life.waitFor(`-n remit wait ${former} --for=delete`);
    }

    it('loses no call in an update of the DaemonSet, by a socket', async () => {
      await life.cluster.kubectl('label namespace demo remit.dev/injection-');
      await register(life.cluster, [
        { id: 'spiffe://acme.test/ns/remit/sa/remit-node', selectors: ['k8s:ns:remit', 'k8s:sa:remit-node'] },
      ]);
      await life.upgrade(
        '--set mode=node --set-json sidecar.namespaces=[] --set node.audiences={https://tools.acme.test}',
      );
      await life.authorityReady();
      await nodeReady();
      await startTools(life.cluster, { replicas: 2, socket: { hostPath: { path: '/run/remit' } } });
      await life.restartTools();
      expect(await life.event('node mode by a socket: pod of the DaemonSet replaced', restartNode)).toEqual({});
    });

    it('loses no call in an update of the DaemonSet, over the network', async () => {
      await life.upgrade(`--set node.via=network --set node.callers={${TOOLS.id}}`);
      await nodeReady();
      await startTools(life.cluster, { replicas: 2, isAskedOverNetwork: true });
      await life.restartTools();
      expect(await life.event('node mode over the network: pod of the DaemonSet replaced', restartNode)).toEqual({});
    });
  },
);

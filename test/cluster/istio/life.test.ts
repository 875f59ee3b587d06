import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { both, describeWith, imagePart } from '../../parts.ts';
import { until } from '../../until.ts';
import { SPIRE_NAMESPACE } from '../addons/spire.ts';
import type { Cluster } from '../cluster.ts';
import { startMesh } from './installed-mesh.ts';
import type { Mesh } from './installed-mesh.ts';
import { istiodReady, ISTIO_NAMESPACE } from './mesh.ts';
import { meshPart } from './mesh-part.ts';
import type { Authority } from './mesh.ts';
import { meshLoadOf, meshTools, startMeshLoad } from './mesh-pods.ts';

// The image is built once, and six thousand calls take five minutes.
jest.setTimeout(1_200_000);

const RATE = 20;
/** Certificates are renewed at the half of their life. */
const SVID_SECONDS = 60;
const TEN_RENEWALS = 6_000;
const IN_RESTARTS = 2_100;
/** An answer of somebody who decided. Others are of a machine that was too slow, or of a connection that ended. */
const REFUSED = /^4/;
/** How many of a thousand calls may have no decision or no answer: a loaded machine had 1 of 6,000, and 2 of 2,100 in rollouts. */
const LOST_OF_THOUSAND = 5;
const authority: Authority = 'spire';

/** The log of the tool servers' sidecar. */
const RENEWED = /"svid-renewed"/g;

/** Makes the pods of a workload anew, and waits until they are ready. */
async function restarted(cluster: Cluster, namespace: string, workload: string): Promise<void> {
  await cluster.kubectl(`-n ${namespace} rollout restart ${workload}`);
  await cluster.kubectl(`-n ${namespace} rollout status ${workload}`);
}

describeWith(
  both(meshPart(), imagePart()),
  'the life of a mesh whose SVIDs live a minute (issue 39)',
  ([[parts, istio]]) => {
    let mesh: Mesh;
    let cluster: Cluster;
    beforeAll(async () => {
      mesh = await startMesh(parts, istio, { svidSeconds: SVID_SECONDS, isPatient: true });
      cluster = mesh.cluster;
      await cluster.apply(...meshTools({ authority, replicas: 2 }));
      await toolsReady();
    });
    afterAll(async () => {
      await mesh?.close();
    });

    const toolsReady = (): Promise<string> => cluster.kubectl('-n demo rollout status deployment/tools');

    /** Makes calls while something happens. Returns how each that was refused was answered, and whether few others had no answer. */
    async function during(name: string, calls: number, happens: () => Promise<void>) {
      const seconds = calls / RATE;
      await startMeshLoad(cluster, { name, authority, rate: RATE, seconds });
      await happens();
      const { answers, failures, made, p50, p99 } = await meshLoadOf(cluster, name, (seconds + 120) * 1_000);
      process.stdout.write(`${name}: ${made} calls, ${JSON.stringify(answers)}, p50 ${p50} ms, p99 ${p99} ms\n`);
      for (const { answer, atMs } of failures) process.stdout.write(`  ${new Date(atMs).toISOString()} ${answer}\n`);
      const refused = Object.keys(answers).filter((answer) => REFUSED.test(answer));
      return { made, refused, isWhole: (made - (answers['200'] ?? 0)) * 1_000 <= made * LOST_OF_THOUSAND };
    }

    it('refuses none of 6,000 calls over ten renewals of all SVIDs', async () => {
      expect(await during('renewals', TEN_RENEWALS, async () => {})).toEqual({
        made: TEN_RENEWALS,
        refused: [],
        isWhole: true,
      });
      process.stdout.write(`renewals in the log of a sidecar: ${await renewals()}\n`);
      expect(await renewals()).toBeGreaterThanOrEqual(10);
    });

    /** How often a sidecar of the tool servers has had a new SVID. */
    async function renewals(): Promise<number> {
      const log = await cluster.kubectl('-n demo logs deployment/tools -c remit --tail=-1');
      return log.match(RENEWED)?.length ?? 0;
    }

    it('refuses none of 2,100 calls in rollouts of all that the mesh is made of', async () => {
      const came = await during('restarts', IN_RESTARTS, async () => {
        await restarted(cluster, 'demo', 'deployment/tools');
        await restarted(cluster, ISTIO_NAMESPACE, 'deployment/istiod');
        await istiodReady(cluster);
        await restarted(cluster, SPIRE_NAMESPACE, 'daemonset/spire-agent');
        await restarted(cluster, SPIRE_NAMESPACE, 'deployment/spire-server');
        await cluster.kubectl('-n remit delete pod remit-authority-0');
        await until(
          async () =>
            (
              await cluster.tried([
                'kubectl',
                '-n',
                'remit',
                'wait',
                'pod/remit-authority-0',
                '--for=condition=Ready',
                '--timeout=600s',
              ])
            ).status === 0,
          { what: 'an authority that is ready again' },
        );
      });
      expect(came).toEqual({ made: IN_RESTARTS, refused: [], isWhole: true });
    });
  },
);

import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { both, describeWith, imagePart } from '../../parts.ts';
import { until } from '../../until.ts';
import type { Cluster } from '../cluster.ts';
import { startMesh } from './installed-mesh.ts';
import type { Mesh } from './installed-mesh.ts';
import { meshPart } from './mesh-part.ts';
import { cameOf, startMeshAgent, TOOLS_HOST } from './mesh-pods.ts';
import type { Came, MeshAgent } from './mesh-pods.ts';

const READ = { what: 'read', method: 'GET', path: '/items/7' };
const CALLS = [READ];
const ALLOWED = [{ what: 'read', status: 200, text: expect.stringContaining('/items/7') }];
const FORWARD = `tools=http://${TOOLS_HOST},resource=https://${TOOLS_HOST}`;
const refused = (why: string) => [{ what: 'read', status: 502, text: expect.stringContaining(why) }];
/** Permits TLS alone, as the page has it. */
const MUTUAL = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'DestinationRule',
  metadata: { name: 'tools', namespace: 'demo' },
  spec: { host: TOOLS_HOST, trafficPolicy: { tls: { mode: 'ISTIO_MUTUAL' } } },
};
const NOT_NATIVE = { 'sidecar.istio.io/nativeSidecar': 'false' };
const HOLDS = { ...NOT_NATIVE, 'proxy.istio.io/config': '{"holdApplicationUntilProxyStarts": true}' };

// In this order: one mesh, changed.
describeWith(
  both(meshPart(), imagePart()),
  'agents and an authority in a real mesh (issue 39, points 2, 4 and 5)',
  ([[parts, istio]]) => {
    let mesh: Mesh;
    let cluster: Cluster;
    beforeAll(async () => {
      mesh = await startMesh(parts, istio, { isPatient: true });
      cluster = mesh.cluster;
    });
    afterAll(async () => {
      await mesh?.close();
    });

    /** What came of the calls of an agent, and how often its container was started again. */
    async function came(name: string, agent: Partial<MeshAgent>): Promise<readonly Came[]> {
      const environment = { CALLS: JSON.stringify(CALLS), WHY: '1' };
      await startMeshAgent(cluster, { name, authority: 'istio', program: 'agent.mjs', environment, ...agent });
      return cameOf(cluster, agent.isJob === true ? await podOf(name) : name, CALLS.length);
    }

    const podOf = (job: string): Promise<string> => {
      const words = `-n agents get pods -l job-name=${job} -o jsonpath={.items[*].metadata.name}`;
      return until(async () => (await cluster.kubectl(words)) || undefined, { what: `a pod of ${job}` });
    };

    it.each<[string, string, Partial<MeshAgent>]>([
      ['automatic mTLS, which is in clear to a pod without a sidecar', 'ISTIO_MUTUAL', {}],
      ['no sidecar', 'taken over by no process of this pod', { isInMesh: false }],
      [
        'a port that is excluded',
        'taken over by no process of this pod',
        { annotations: { 'traffic.sidecar.istio.io/excludeOutboundPorts': '80' } },
      ],
    ])('forwards nothing by http: with %s', async (what, why, agent) => {
      const all = await came(`refused-${what.replace(/\W.*/, '')}`, { forward: FORWARD, ...agent });
      expect(all).toEqual(refused(why));
    });

    it('forwards by http: what its sidecar takes over and sends by TLS alone', async () => {
      await cluster.apply(MUTUAL);
      // A new rule takes a moment to reach the Envoy of each agent, which has just started.
      await until(
        async () => {
          const all = await came(`forwarded-${Date.now()}`, { forward: FORWARD });
          if (all[0]?.status === 200) return true;
          expect(all).toEqual(refused('ISTIO_MUTUAL'));
          return false;
        },
        { what: 'a call that is forwarded', withinMs: 170_000 },
      );
    });

    it('forwards calls that are signed by the key of the run with --dpop', async () => {
      const [first] = await came('signed', { forward: FORWARD, options: ['--dpop'] });
      expect(first?.status).toBe(200);
    });

    it('ends a Job with its agent if the sidecar is native', async () => {
      expect(await came('job', { isJob: true })).toEqual(ALLOWED);
      await cluster.kubectl('-n agents wait job/job --for=condition=Complete --timeout=600s');
    });

    it.each([
      ['holds the agent until it has started', HOLDS],
      ['may start later than the agent, which waits for its issuer', NOT_NATIVE],
    ])('starts an agent once if the sidecar %s', async (what, annotations) => {
      const name = `started-${what.replace(/\W.*/, '')}`;
      expect(await came(name, { annotations })).toEqual(ALLOWED);
      const restarts = 'jsonpath={.status.containerStatuses[?(@.name=="agent")].restartCount}';
      expect(await cluster.run(['kubectl', '-n', 'agents', 'get', 'pod', name, '-o', restarts])).toBe('0');
    });

    it('leaves a Job running if the sidecar is not native', async () => {
      expect(await came('endless', { isJob: true, annotations: NOT_NATIVE })).toEqual(ALLOWED);
      const pod = await podOf('endless');
      const ended = 'jsonpath={.status.containerStatuses[?(@.name=="agent")].state.terminated.reason}';
      await until(
        async () => (await cluster.run(['kubectl', '-n', 'agents', 'get', 'pod', pod, '-o', ended])) === 'Completed',
        { what: 'the end of the agent' },
      );
      expect(await cluster.kubectl('-n agents get job endless -o jsonpath={.status.active}')).toBe('1');
    });

    const containersOf = (namespace: string, pod: string): Promise<string> =>
      cluster.kubectl(
        `-n ${namespace} get pod ${pod} -o jsonpath={.spec.initContainers[*].name},{.spec.containers[*].name}`,
      );

    it('injects nothing into an authority, also if its namespace is a part of the mesh', async () => {
      await cluster.kubectl('label namespace remit istio-injection=enabled');
      await cluster.kubectl('-n remit delete pod remit-authority-0');
      await cluster.kubectl('-n remit rollout status statefulset/remit-authority');
      expect(await containersOf('remit', 'remit-authority-0')).toBe(',remit');
    });

    async function injectAuthority(value: string): Promise<void> {
      const template = { metadata: { labels: { 'sidecar.istio.io/inject': value } } };
      const words = ['kubectl', '-n', 'remit', 'patch', 'statefulset', 'remit-authority', '-p'];
      await cluster.run([...words, JSON.stringify({ spec: { template } })]);
    }

    it('does not get ready an authority that is injected, and doctor says why', async () => {
      await cluster.apply({
        apiVersion: 'security.istio.io/v1',
        kind: 'PeerAuthentication',
        metadata: { name: 'default', namespace: 'remit' },
        spec: { mtls: { mode: 'STRICT' } },
      });
      await injectAuthority('true');
      const doctor = ['kubectl', '-n', 'remit', 'exec', 'remit-authority-0', '-c', 'remit', '--', 'remit', 'doctor'];
      const said = await until(
        async () => {
          const { stdout } = await cluster.tried(doctor);
          return stdout.includes('platform.behind-sidecar') && stdout;
        },
        { what: 'doctor with a finding', withinMs: 170_000 },
      );
      expect(said).toMatch(/gate\/mesh: Remit is not ready: a sidecar of a mesh ends the TLS of port \d+/);
      const ready = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}';
      const isReady = ['kubectl', '-n', 'remit', 'get', 'pod', 'remit-authority-0', '-o', ready];
      await until(async () => (await cluster.run(isReady)) === 'False', { what: 'a pod that is not ready' });
      // As it was: Helm does not change a label that others have set.
      await injectAuthority('false');
    });

    it('injects nothing once injection is removed by `helm upgrade`', async () => {
      const chart = 'oci://ghcr.io/remit-dev/charts/remit';
      const without = '--set injection.enabled=false,injection.guard=false';
      const upgrade = `helm upgrade remit ${chart} -n remit --reset-then-reuse-values ${without}`;
      await cluster.run(upgrade.split(' '));
      const kinds = ['mutating', 'validating'].flatMap((verb) =>
        ['policies', 'policybindings'].map((kind) => `${verb}admission${kind}`),
      );
      expect(await cluster.kubectl(`get ${kinds.join()} -o name`)).not.toContain('remit');
      // The API server takes a moment to see it.
      const last = async (): Promise<string> => {
        await cluster.kubectl('-n demo rollout restart deployment/tools');
        await cluster.kubectl('-n demo rollout status deployment/tools');
        const running = '-l app=tools --sort-by=.metadata.creationTimestamp -o jsonpath={.items[-1:].metadata.name}';
        return containersOf('demo', await cluster.kubectl(`-n demo get pods ${running}`));
      };
      await until(async () => !(await last()).includes('remit'), {
        what: 'a pod without Remit',
        withinMs: 170_000,
      });
      // The policy of Istio still asks Remit, which is gone: calls are refused, and not let through.
      const environment = { CALLS: JSON.stringify([{ ...READ, hasToken: false }]), WHY: '1' };
      await startMeshAgent(cluster, {
        name: 'unasked',
        authority: 'istio',
        program: 'agent.mjs',
        environment,
        isRun: false,
      });
      expect((await cameOf(cluster, 'unasked', 1))[0]?.status).toBe(503);
    });
  },
);

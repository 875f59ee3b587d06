import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { both, describeWith, imagePart } from '../../parts.ts';
import { until } from '../../until.ts';
import type { Cluster } from '../cluster.ts';
import { IMAGE } from '../release.ts';
import { RESTRICTED } from '../tool-pods.ts';
import { startMesh } from './installed-mesh.ts';
import type { Mesh } from './installed-mesh.ts';
import { meshPart } from './mesh-part.ts';
import { cameOf, startMeshAgent } from './mesh-pods.ts';
import type { Came, MeshAgent } from './mesh-pods.ts';
import { runAsReader } from './page.ts';

const STRICT = 'strict';
const PORT = 8080;

/** Annotations that take calls past Istio's sidecar, and what the guard says of each. */
const HOSTILE: readonly (readonly [annotation: string, value: string, refused: string])[] = [
  ['traffic.sidecar.istio.io/excludeInboundPorts', String(PORT), 'would go past Istio'],
  ['traffic.sidecar.istio.io/includeInboundPorts', '80', 'would go past Istio'],
  ['sidecar.istio.io/interceptionMode', 'NONE', 'must intercept all calls'],
  ['sidecar.istio.io/inject', 'false', 'without the sidecar of Istio'],
];

/** With `interceptionMode: NONE` Envoy listens on the port of each Service itself, among them Remit's: the pod never becomes ready. */
const PASSING = HOSTILE.filter(([annotation]) => !annotation.endsWith('/interceptionMode'));

/** A tool server that its author takes out of the mesh. */
const pod = (name: string, annotation: string, value: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels: { app: 'hostile' }, annotations: { [annotation]: value } },
  spec: {
    terminationGracePeriodSeconds: 1,
    containers: [
      {
        name: 'tools',
        image: IMAGE,
        command: ['/usr/bin/node', '-e', `require('http').createServer((q, s) => s.end('unasked')).listen(${PORT})`],
        ports: [{ name: 'http', containerPort: PORT }],
        readinessProbe: { tcpSocket: { port: PORT }, periodSeconds: 1 },
        securityContext: RESTRICTED,
      },
    ],
  },
});

describeWith(
  both(meshPart(), imagePart()),
  'annotations that take calls past Istio (issue 39, point 6)',
  ([[parts, istio]]) => {
    let mesh: Mesh;
    let cluster: Cluster;
    beforeAll(async () => {
      mesh = await startMesh(parts, istio);
      cluster = mesh.cluster;
      const labels = { 'istio-injection': 'enabled', 'remit.dev/injection': 'required' };
      await cluster.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: STRICT, labels } });
    });
    afterAll(async () => {
      await mesh?.close();
    });

    let count = 0;
    /** Makes a call without a token. */
    async function call(to: string, agent: Partial<MeshAgent>): Promise<Came | undefined> {
      const name = `caller-${(count += 1)}`;
      const calls = [{ what: 'call', method: 'GET', path: '/', hasToken: false }];
      const environment = { CALLS: JSON.stringify(calls), TOOLS: `http://${to}` };
      await startMeshAgent(cluster, {
        name,
        authority: 'istio',
        program: 'agent.mjs',
        environment,
        isRun: false,
        ...agent,
      });
      return (await cameOf(cluster, name, 1))[0];
    }

    it.each(HOSTILE)('refuses a pod with %s: %s if Remit is required', async (annotation, value, refused) => {
      const create = ['kubectl', '-n', STRICT, 'create', '-f', '-'];
      const { status, stderr } = await cluster.tried(create, { input: [pod('hostile', annotation, value)] });
      process.stdout.write(`| ${annotation}: ${value} | ${stderr.replace(/^.*denied request: /s, '').trim()} |\n`);
      expect([status, stderr]).toEqual([1, expect.stringContaining(refused)]);
    });

    it('would let calls pass that nobody is asked about, in clear, and doctor names the pods', async () => {
      const pods = PASSING.map(([annotation, value], at) => pod(`hostile-${at}`, annotation, value));
      await cluster.run(['kubectl', '-n', 'demo', 'create', '-f', '-'], { input: pods });
      await cluster.kubectl('-n demo wait pod -l app=hostile --for=condition=Ready --timeout=600s');
      for (const [at, [annotation, value]] of PASSING.entries()) {
        const address = await cluster.kubectl(`-n demo get pod hostile-${at} -o jsonpath={.status.podIP}`);
        const came = await call(`${address}:${PORT}`, { isInMesh: false });
        process.stdout.write(`| ${annotation}: ${value} | not required: ${came?.status} ${came?.text} |\n`);
        expect(came).toEqual({ what: 'call', status: 200, text: 'unasked' });
      }
      const said = await runAsReader(
        cluster,
        mesh.folder,
        'kubectl get pods -A -o yaml > pods.yaml; remit doctor -f pods.yaml || true',
      );
      for (const at of PASSING.keys()) expect(said).toContain(`hostile-${at}`);
      expect(said).toContain('istio.past-sidecar');
    });

    it('says why Remit does not start beside a sidecar that intercepts nothing', async () => {
      const none = pod('none', 'sidecar.istio.io/interceptionMode', 'NONE');
      await cluster.run(['kubectl', '-n', 'demo', 'create', '-f', '-'], { input: [none] });
      const status = 'jsonpath={.status.initContainerStatuses[?(@.name=="remit")].lastState.terminated.message}';
      const why = ['kubectl', '-n', 'demo', 'get', 'pod', 'none', '-o', status];
      const message = await until(async () => (await cluster.run(why)) || undefined, {
        what: 'a start that fails',
        withinMs: 170_000,
      });
      process.stdout.write(`| sidecar.istio.io/interceptionMode: NONE | not required: ${message.trim()} |\n`);
      expect(message).toMatch(/EADDRINUSE: .*interceptionMode: NONE.*remove `sidecar\.istio\.io\/interceptionMode`/);
      await cluster.kubectl('-n demo delete pod none --wait=false');
    });

    it('tells calls that Envoy took and nobody was asked about', async () => {
      await cluster.kubectl('-n demo delete authorizationpolicy remit');
      await until(async () => (await call('tools.demo.svc.cluster.local', {}))?.status === 200, {
        what: 'an Envoy that asks nobody',
        withinMs: 170_000,
      });
      const query = 'remit ledger query --received /var/lib/remit/records --reason bypass --json';
      const found = await until(
        async () => {
          const text = await cluster.kubectl(`-n remit exec remit-authority-0 -- ${query}`);
          return text.includes('spiffe://acme.test/ns/agents/sa/planner') && text;
        },
        { what: 'a finding of a bypass', withinMs: 170_000 },
      );
      expect(found).toContain('"bypass"');
    });
  },
);

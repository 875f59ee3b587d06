import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { both, describeWith, imagePart } from '../../parts.ts';
import { until } from '../../until.ts';
import { register } from '../addons.ts';
import type { Cluster } from '../cluster.ts';
import { startMesh } from './installed-mesh.ts';
import type { Mesh } from './installed-mesh.ts';
import { configureIstio } from './mesh.ts';
import { meshPart } from './mesh-part.ts';
import type { MeshOptions } from './mesh.ts';
import { cameOf, meshTools, startMeshAgent } from './mesh-pods.ts';
import { runAsReader } from './page.ts';

const root = resolve(import.meta.dirname, '../../..');
const EXCLUDED = 'traffic.sidecar.istio.io/excludeInboundPorts';
/** What the page says for a sidecar of Istio that is not native. */
const WAY_OUT = {
  [EXCLUDED]: '9471',
  'traffic.sidecar.istio.io/excludeOutboundPorts': '9472,9474',
  'sidecar.istio.io/rewriteAppHTTPProbers': 'false',
};
const NO_TOKEN = { what: 'no token', method: 'GET', path: '/items/7', hasToken: false };
/** How Remit gets into the pods of a namespace. */
const WAYS = { policy: 'demo', template: 'templated', command: 'commanded' } as const;
type Way = keyof typeof WAYS;
const REPLICAS = 4;
/** How many pods end where Istio and injection are as the page has them. */
const MANY_ENDS = 20;

interface Named {
  readonly name: string;
  readonly restartCount: number;
}

interface Pod {
  readonly metadata: { readonly name: string; readonly annotations: Readonly<Record<string, string>> };
  readonly spec: { readonly initContainers: readonly { readonly name: string }[] };
  readonly status: { readonly initContainerStatuses: readonly Named[]; readonly containerStatuses: readonly Named[] };
}

/** The last record of a log, as its authority has it. */
interface Left {
  readonly signed: number;
  readonly size: number;
}

/** Where Remit comes among the init containers. The policy puts it first where Istio's sidecar is not one of them. */
const MESHES: readonly (MeshOptions & {
  readonly what: string;
  readonly order: readonly string[];
  readonly orderOfPolicy?: readonly string[];
})[] = [
  { what: 'native, without istio-cni', order: ['istio-init', 'istio-proxy', 'remit'] },
  { what: 'native, with istio-cni', hasCni: true, order: ['istio-validation', 'istio-proxy', 'remit'] },
  {
    what: 'not native, with istio-cni',
    hasCni: true,
    isNative: false,
    order: ['istio-validation', 'remit'],
    orderOfPolicy: ['remit', 'istio-validation'],
  },
  { what: 'not native, without istio-cni', isNative: false, order: ['remit', 'istio-init'] },
];

/** What the author of a pod adds, as the pages say. */
function annotationsOf(way: Way, isNative = true): Readonly<Record<string, string>> {
  if (!isNative) return WAY_OUT;
  return way === 'template' ? { [EXCLUDED]: '9471' } : {};
}

// In this order: one mesh, changed.
describeWith(
  both(meshPart(), imagePart()),
  'the order of sidecars in a real mesh (issue 39, point 2)',
  ([[parts, istio]]) => {
    let mesh: Mesh;
    let cluster: Cluster;
    beforeAll(async () => {
      mesh = await startMesh(parts, istio);
      cluster = mesh.cluster;
      const others = Object.values(WAYS).filter((name) => name !== WAYS.policy);
      await cluster.apply(
        ...others.map((name) => ({
          apiVersion: 'v1',
          kind: 'Namespace',
          metadata: { name, labels: { 'istio-injection': 'enabled' } },
        })),
      );
      await register(
        cluster,
        others.map((name) => ({
          id: `spiffe://acme.test/ns/${name}/sa/default`,
          selectors: [`k8s:ns:${name}`, 'k8s:sa:default'],
        })),
      );
      const namespaces = `sidecar.namespaces={${Object.values(WAYS).join()}}`;
      const chart = 'oci://ghcr.io/remit-dev/charts/remit';
      const upgrade = [
        'helm',
        'upgrade',
        'remit',
        chart,
        '-n',
        'remit',
        '--reset-then-reuse-values',
        '--wait',
        '--set',
        namespaces,
      ];
      await cluster.run(upgrade);
      for (const name of others)
        for (const file of ['policy', 'envoyfilter']) {
          const text = readFileSync(join(mesh.folder, `mesh/istio/${file}.yaml`), 'utf8');
          const input = text.replaceAll(`namespace: ${WAYS.policy}`, `namespace: ${name}`);
          await cluster.run(['kubectl', 'apply', '-f', '-'], { input });
        }
      await runAsReader(
        cluster,
        mesh.folder,
        `helm upgrade istiod istio/istiod -n istio-system --reuse-values -f ${join(root, 'deploy/inject/istio.yaml')}`,
      );
    });
    afterAll(async () => {
      await mesh?.close();
    });

    const podsOf = async (namespace: string): Promise<readonly Pod[]> => {
      const words = `-n ${namespace} get pods -l app=tools --field-selector=status.phase=Running -o json`;
      const { items } = JSON.parse(await cluster.kubectl(words));
      return items.filter(({ metadata }: { readonly metadata: object }) => !('deletionTimestamp' in metadata));
    };

    /** Makes the tool servers anew, and waits until they are ready. */
    async function start(way: Way, annotations: Readonly<Record<string, string>>): Promise<void> {
      const namespace = WAYS[way];
      await cluster.kubectl(`-n ${namespace} delete deployment tools --ignore-not-found --cascade=foreground`);
      const templates = way === 'template' ? ['remit'] : [];
      const tools = meshTools({ authority: 'istio', namespace, annotations, templates, replicas: REPLICAS });
      await (way === 'command' ? applyInjected(tools) : cluster.apply(...tools));
      await cluster.kubectl(`-n ${namespace} rollout status deployment/tools`);
    }

    async function applyInjected(items: readonly object[]): Promise<void> {
      const file = join(mesh.folder, 'app.json');
      writeFileSync(file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
      await runAsReader(cluster, mesh.folder, `remit inject -f ${file} | kubectl apply -f -`);
    }

    let count = 0;
    /** Calls tool servers of a namespace from the mesh, without a token, and returns the answers that came. */
    async function call(way: Way): Promise<readonly string[]> {
      const name = `caller-${(count += 1)}`;
      const calls = Array.from({ length: 3 * REPLICAS }, () => NO_TOKEN);
      const environment = { CALLS: JSON.stringify(calls), TOOLS: `http://tools.${WAYS[way]}.svc.cluster.local` };
      await startMeshAgent(cluster, { name, authority: 'istio', program: 'agent.mjs', environment, isRun: false });
      const came = await cameOf(cluster, name, calls.length);
      await cluster.kubectl(`-n agents delete pod ${name} --wait=false`);
      return [...new Set(came.map(({ reason, status, text }) => `${status} ${reason ?? text}`))];
    }

    /** What the authority knows of the logs of pods that have ended. */
    async function leftOf(names: ReadonlySet<string>): Promise<ReadonlyMap<string, Left>> {
      const query = 'remit ledger query --received /var/lib/remit/records --kind emitter --json --limit 1000';
      const lines = (await cluster.kubectl(`-n remit exec remit-authority-0 -- ${query}`)).split('\n');
      const ends = lines.filter((line) => line.includes('"event":"left"'));
      return new Map(
        [...names].flatMap((name) => {
          const line = ends.find((one) => one.includes(`/${name}`));
          return line === undefined ? [] : [[name, JSON.parse(line)] as const];
        }),
      );
    }

    describe.each(MESHES)('$what', ({ hasCni, isNative, order, orderOfPolicy = order, what }) => {
      beforeAll(async () => {
        if (hasCni === undefined && isNative === undefined) return;
        await configureIstio(cluster, mesh.folder, { hasCni, isNative });
      });

      it.each<Way>(['policy', 'template', 'command'])(
        'starts pods by the %s in the right order, Remit decides, and no record of those that end is lost',
        async (way) => {
          const namespace = WAYS[way];
          await start(way, annotationsOf(way, isNative));
          const [pod] = await podsOf(namespace);
          const { containerStatuses = [], initContainerStatuses = [] } = pod?.status ?? {};
          const names = pod?.spec.initContainers.map(({ name }) => name);
          expect(names).toEqual(way === 'policy' ? orderOfPolicy : order);
          const restarted = [...initContainerStatuses, ...containerStatuses].filter((one) => one.restartCount > 0);
          expect(restarted.map(({ name }) => name)).toEqual([]);
          expect(pod?.metadata.annotations[EXCLUDED]?.split(',')).toContain('9471');
          const ends = way === 'policy' && isNative !== false && hasCni !== true ? MANY_ENDS : REPLICAS;
          const ended = new Set<string>();
          while (ended.size < ends) {
            const pods = (await podsOf(namespace)).map(({ metadata }) => metadata.name);
            expect(await call(way)).toEqual(['401 token.missing']);
            for (const name of pods) ended.add(name);
            // The calls of just before are among their last records.
            await cluster.kubectl(`-n ${namespace} delete pods ${pods.join(' ')}`);
            await cluster.kubectl(`-n ${namespace} rollout status deployment/tools`);
          }
          const isThere = async () => (await leftOf(ended)).size === ended.size;
          await until(isThere, { what: 'the end of each log', withinMs: 60_000 }).catch(() => {});
          const left = await leftOf(ended);
          const behind = [...left.values()].filter(({ signed, size }) => signed !== size);
          const cells = [what, way, names?.join(', '), ended.size, ended.size - left.size + behind.length];
          process.stdout.write(`| ${cells.join(' | ')} |\n`);
          expect([left.size, behind]).toEqual([ended.size, []]);
        },
      );
    });
  },
);

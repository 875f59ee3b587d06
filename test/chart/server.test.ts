import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { endJob } from '../kube/ended-job.ts';
import { startKube } from '../kube/kube.ts';
import type { Kube, Ran } from '../kube/kube.ts';
import { both, describeWith, helmPart, kubernetesPart } from '../parts.ts';
import { thoroughly } from '../thoroughly.ts';
import { until } from '../until.ts';
import { chartFolder } from './chart.ts';

const RESTRICTED = { 'pod-security.kubernetes.io/enforce': 'restricted' };
const DIGEST = `sha256:${'a'.repeat(64)}`;

/** An object that has Pods made, as far as tests read it. */
interface Workload {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: { readonly template: { readonly metadata: object; readonly spec: object } };
  readonly status?: { readonly conditions?: readonly object[] };
}

const SAFE = {
  allowPrivilegeEscalation: false,
  runAsNonRoot: true,
  capabilities: { drop: ['ALL'] },
  seccompProfile: { type: 'RuntimeDefault' },
};

/** Here is no kubelet, so that a Job whose end Helm waits for would never end. */
const WITHOUT_JOBS = ['--set', 'configCheck.enabled=false'];

const set = (...values: readonly string[]): readonly string[] => values.flatMap((value) => ['--set', value]);

const ok = async (running: Promise<Ran>): Promise<string> => {
  const { status, stdout, stderr } = await running;
  if (status !== 0) throw new Error(`ended with ${status}: ${stderr}${stdout}`);
  return stdout;
};

describeWith(both(kubernetesPart(), helmPart()), 'the chart at a real API server', ([binaries, [helm4, helm3]]) => {
  let kube: Kube;
  beforeAll(async () => {
    kube = await startKube(binaries);
    await kube.apply({
      apiVersion: 'storage.k8s.io/v1',
      kind: 'CSIDriver',
      metadata: { name: 'csi.spiffe.io' },
      spec: { attachRequired: false, podInfoOnMount: true, volumeLifecycleModes: ['Ephemeral'] },
    });
  });
  afterAll(async () => kube?.close());

  const json = async (...args: readonly string[]): Promise<unknown> =>
    JSON.parse(await kube.kubectl([...args, '-o', 'json']));
  const workloadsIn = async (namespace: string): Promise<readonly Workload[]> =>
    ((await json('get', 'statefulsets,daemonsets,jobs', '-n', namespace)) as { items: readonly Workload[] }).items;
  /** Whether the server admits the Pods of a workload: of a StatefulSet alone it only warns. */
  const admitsPodsOf = async ({ metadata, spec }: Workload, namespace: string): Promise<void> => {
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...spec.template.metadata, name: metadata.name, namespace },
      spec: spec.template.spec,
    };
    const { status, stderr } = await kube.tried(['create', '--dry-run=server', '-f', '-'], { input: [withState(pod)] });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  };

  const fourth = ['Helm 4', helm4, 'four'] as const;
  // Helm 3 found nothing here that Helm 4 did not; what both make of the chart is compared each time (`render.test.ts`).
  describe.each(thoroughly([fourth, ['Helm 3', helm3, 'three'] as const], [fourth]))(
    'by %s',
    (_version, helm, name) => {
      const [namespace, tools] = [`remit-${name}`, `tools-${name}`];
      const release = ['remit', chartFolder, '-n', namespace, ...WITHOUT_JOBS];
      const revision = async (): Promise<unknown> =>
        (JSON.parse(await ok(kube.run(helm, ['history', 'remit', '-n', namespace, '-o', 'json']))) as object[]).at(-1);

      it('is installed without a value in a namespace that enforces `restricted`', async () => {
        await kube.namespace(namespace, RESTRICTED);
        await kube.namespace(tools, { ...RESTRICTED, 'remit.dev/injection': 'enabled' });
        const notes = await ok(kube.run(helm, ['install', ...release]));
        expect(notes).toContain(`kubectl -n ${namespace} rollout status statefulset/remit-authority`);
        const workloads = await workloadsIn(namespace);
        expect(workloads.map(({ kind }) => kind)).toEqual(['StatefulSet']);
        for (const workload of workloads) await admitsPodsOf(workload, namespace);
      });

      it('is upgraded to another image, with sidecars', async () => {
        const values = set(`image.digest=${DIGEST}`, `sidecar.namespaces={${tools}}`, 'sidecar.audiences={https://a}');
        await ok(kube.run(helm, ['upgrade', ...release, ...values]));
        const [authority] = await workloadsIn(namespace);
        expect(JSON.stringify(authority)).toContain(`"image":"ghcr.io/remit-dev/remit@${DIGEST}"`);
        if (authority !== undefined) await admitsPodsOf(authority, namespace);
        expect(await json('get', 'configmap', 'remit-sidecar', '-n', tools)).toMatchObject({
          data: { 'remit.yaml': expect.stringContaining('authority://remit-authority-0.') },
        });
      });

      it('gives pods of a namespace that asks the sidecar of that image, which `restricted` admits', async () => {
        const pod = {
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name: 'web', namespace: tools },
          spec: { containers: [{ name: 'app', image: 'app', securityContext: SAFE }] },
        };
        // A policy comes into force a moment after it was written: until then that of the former image holds, or the guard refuses.
        const made = await until(
          async () => {
            const { status, stdout } = await kube.tried(['create', '--dry-run=server', '-o', 'json', '-f', '-'], {
              input: [pod],
            });
            return status === 0 && stdout.includes(DIGEST) && (JSON.parse(stdout) as typeof pod);
          },
          { what: 'a pod with the sidecar of the new image' },
        );
        expect(made.spec).toMatchObject({
          initContainers: [{ name: 'remit', image: `ghcr.io/remit-dev/remit@${DIGEST}`, restartPolicy: 'Always' }],
        });
      });

      it('keeps the former policies for pods that are made meanwhile, until the next upgrade (issue 37, found)', async () => {
        const values = ['--reset-then-reuse-values', ...set('policies.existingConfigMap=remit-acme')];
        const policiesIn = async (): Promise<unknown> => json('get', 'configmap', 'remit-policies', '-n', tools);
        const { data: former } = (await policiesIn()) as { readonly data: object };
        await ok(kube.run(helm, ['upgrade', ...release, ...values]));
        expect(await policiesIn()).toMatchObject({
          metadata: { annotations: { 'remit.dev/former': expect.stringMatching(/^\d+$/) } },
          data: former,
        });
        await ok(kube.run(helm, ['upgrade', ...release, ...values]));
        expect(await kube.kubectl(['get', 'configmaps', '-n', tools, '-o', 'name'])).not.toContain('remit-policies');
      });

      it.each([
        [
          'a size of the volume, which cannot change',
          'authority.persistence.size=20Gi',
          /spec\.volumeClaimTemplates: Invalid value/,
        ],
        ['memory that is none', 'resources.limits.memory=much', /quantities must match|unable to parse quantity/],
        ['a label that is none', 'podLabels.team=a/b', /Invalid value: "a\/b"/],
        ['the objects of a Prometheus operator that is not there', 'monitoring.enabled=true', /no matches for kind/],
      ])('is not upgraded to %s, and what was there stays', async (_row, value, message) => {
        const before = await json('get', 'statefulset', 'remit-authority', '-n', namespace);
        const { status, stderr } = await kube.run(helm, [
          'upgrade',
          ...release,
          '--reset-then-reuse-values',
          ...set(value),
        ]);
        expect(stderr).toMatch(message);
        expect(status).toBe(1);
        expect(await json('get', 'statefulset', 'remit-authority', '-n', namespace)).toMatchObject({
          metadata: { generation: (before as { metadata: { generation: number } }).metadata.generation },
        });
      });

      it('is rolled back', async () => {
        await ok(kube.run(helm, ['rollback', 'remit', '1', '-n', namespace]));
        expect(await revision()).toMatchObject({ status: 'deployed', description: 'Rollback to 1' });
        const [authority] = await workloadsIn(namespace);
        expect(JSON.stringify(authority)).not.toContain(DIGEST);
        const maps = await kube.kubectl(['get', 'configmaps', '-n', tools, '-o', 'name']);
        expect(maps).not.toContain('remit-sidecar');
      });

      it('is uninstalled, and blocks no pod afterwards', async () => {
        await ok(kube.run(helm, ['uninstall', 'remit', '-n', namespace]));
        const left = ['mutatingadmissionpolicies', 'validatingadmissionpolicies', 'statefulsets', 'networkpolicies'];
        expect(await kube.kubectl(['get', left.join(','), '-n', namespace, '-o', 'name'])).toBe('');
      });
    },
  );

  it('has a Remit on each node over the network, whose Pods `restricted` admits', async () => {
    const namespace = 'remit-nodes';
    await kube.namespace(namespace, RESTRICTED);
    const values = set(
      'mode=node',
      'node.via=network',
      'node.callers={spiffe://example.org/ns/gateways/sa/envoy}',
      'node.audiences={https://a}',
    );
    await ok(kube.run(helm4, ['install', 'remit', chartFolder, '-n', namespace, ...WITHOUT_JOBS, ...values]));
    const workloads = await workloadsIn(namespace);
    expect(new Set(workloads.map(({ kind }) => kind))).toEqual(new Set(['DaemonSet', 'StatefulSet']));
    for (const workload of workloads) await admitsPodsOf(workload, namespace);
  });

  describe('with a PostgreSQL', () => {
    const namespace = 'remit-postgres';
    const values = set(
      'authority.database.type=postgres',
      'authority.database.postgres.hosts={db.acme.test}',
      'authority.database.postgres.passwordSecret=login',
      'authority.database.postgres.migration.passwordSecret=owner',
      'replicaCount=3',
      'mode=authority',
      'authority.sidecars[0].id=spiffe://example.org/ns/tools/sa/tools',
      'authority.sidecars[0].audiences={https://a}',
    );
    const install = (): Promise<Ran> =>
      kube.run(helm4, [
        'upgrade',
        '--install',
        'remit',
        chartFolder,
        '-n',
        namespace,
        ...WITHOUT_JOBS,
        ...values,
        '--timeout',
        '100s',
      ]);
    const secret = (name: string): object => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name, namespace },
      stringData: { password: 'p' },
    });
    /** Ends the Job of the migration as its controller would. */
    const ended = (condition: 'Complete' | 'Failed'): Promise<void> =>
      endJob(kube, { namespace, name: 'remit-migration' }, condition);
    /** The Job once it is there, not the ended one of an install before. */
    const job = (): Promise<Workload> =>
      until(
        async () => (await workloadsIn(namespace)).find(({ kind, status }) => kind === 'Job' && !status?.conditions),
        {
          what: 'the migration',
        },
      );

    it('names a Secret that is missing before it makes anything', async () => {
      await kube.namespace(namespace, RESTRICTED);
      const { status, stderr } = await install();
      expect({ status, stderr }).toEqual({
        status: 1,
        stderr: expect.stringContaining('the Secret login of authority.database.postgres is not in the namespace'),
      });
      await kube.apply(secret('login'), secret('owner'));
    });

    it('starts no authority if the migration fails', async () => {
      const installing = install();
      await admitsPodsOf(await job(), namespace);
      await ended('Failed');
      expect((await installing).status).toBe(1);
      expect((await workloadsIn(namespace)).map(({ kind }) => kind)).not.toContain('StatefulSet');
    });

    it('migrates before authorities start', async () => {
      const installing = install();
      await job();
      expect((await workloadsIn(namespace)).map(({ kind }) => kind)).toEqual(['Job']);
      await ended('Complete');
      await ok(installing);
      const workloads = await workloadsIn(namespace);
      expect(workloads.map(({ kind }) => kind)).toEqual(['StatefulSet']);
      for (const workload of workloads) await admitsPodsOf(workload, namespace);
    });
  });
});

/** A Pod of a StatefulSet with the volume that its claim would bring. */
function withState<T extends { readonly spec: object }>(pod: T): T {
  const { volumes = [] } = pod.spec as { readonly volumes?: readonly { readonly name: string }[] };
  if (volumes.some(({ name }) => name === 'state') || !JSON.stringify(pod.spec).includes('"name":"state"')) return pod;
  const state = { name: 'state', persistentVolumeClaim: { claimName: 'state' } };
  return { ...pod, spec: { ...pod.spec, volumes: [...volumes, state] } };
}

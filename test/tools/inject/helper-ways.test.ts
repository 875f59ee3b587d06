import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { injectedInto } from '../../../src/tools/inject/inject.ts';
import { podPlaceOf } from '../../../src/tools/inject/pod-place.ts';
import { scratch } from '../../builders/scratch.ts';
import { shippedFragments } from '../../builders/shipped-fragments.ts';
import { type Kube, startKube } from '../../kube/kube.ts';
import { both, describeWith, istiodPart, kubernetesPart } from '../../parts.ts';
import { until } from '../../until.ts';
import { type IstioInjector, startInjector } from './istio-injector.ts';

const folder = resolve(import.meta.dirname, '../../../deploy/inject');
const fragments = shippedFragments();
const FORWARD = 'tools=https://tools.acme.test';
const ASKED = { 'remit.dev/agent': 'chat', 'remit.dev/agent-forward': FORWARD };

interface Entry {
  readonly name: string;
  readonly [key: string]: unknown;
}

interface Spec {
  readonly containers: readonly Entry[];
  readonly initContainers?: readonly Entry[];
  readonly volumes?: readonly Entry[];
}

/** A pod that asks for a helper and for no sidecar. */
const POD = {
  metadata: { labels: { app: 'chat', 'remit.dev/inject': 'disabled' }, annotations: ASKED },
  spec: {
    securityContext: { runAsUser: 65_532 },
    containers: [
      { name: 'chat', image: 'chat:1' },
      { name: 'shipper', image: 'logs:1' },
    ],
    initContainers: [{ name: 'first', image: 'first:1' }],
    volumes: [{ name: 'data', emptyDir: {} }],
  },
};

const byName = (entries: readonly Entry[] = []): readonly Entry[] =>
  entries.toSorted((one, other) => (one.name < other.name ? -1 : 1));

/** The value below a path of keys. */
const within = (place: readonly string[], value: object): object =>
  place.reduceRight<object>((inner, key) => ({ [key]: inner }), value);
const specIn = (object: unknown, place: readonly string[]): Spec => {
  const spec = [...place, 'spec'].reduce<unknown>(
    (value, key) => (value as Readonly<Record<string, unknown>>)[key],
    object,
  ) as Spec;
  // The order of volumes means nothing, nor does that of variables of which none refers to another.
  const initContainers = (spec.initContainers ?? []).map((one) =>
    Array.isArray(one['env']) ? Object.assign({}, one, { env: byName(one['env'] as readonly Entry[]) }) : one,
  );
  return { ...spec, initContainers, volumes: byName(spec.volumes) };
};
const entry = (list: readonly Entry[] = [], name: string): Entry | undefined => list.find((one) => one.name === name);
const own = ({ volumes = [] }: Spec): readonly Entry[] =>
  byName(volumes.filter(({ name }) => name.startsWith('remit-agent')));
const byCommand = (source: object): object => {
  const result = injectedInto(JSON.stringify(source), fragments);
  if ('problems' in result) throw new Error(JSON.stringify(result.problems));
  return JSON.parse(result.text) as object;
};

// Issue 44, point 1.
describeWith(kubernetesPart(), 'the helper of a service by Kustomize', ({ kubectl }) => {
  const temporary = scratch();
  afterAll(temporary.remove);

  it.each([
    ['Pod', 'v1'],
    ['Deployment', 'apps/v1'],
    ['StatefulSet', 'apps/v1'],
    ['DaemonSet', 'apps/v1'],
    ['ReplicaSet', 'apps/v1'],
    ['Job', 'batch/v1'],
    ['CronJob', 'batch/v1'],
  ])('is in a %s as the command adds it, with a patch that gives the service its folder', (kind, apiVersion) => {
    const place = podPlaceOf({ kind, apiVersion }) ?? [];
    const metadata = { ...POD.metadata, name: 'web' };
    const source = { apiVersion, kind, ...within(place, POD), metadata };
    const at = temporary.folder();
    mkdirSync(join(at, 'base'));
    writeFileSync(join(at, 'base/object.json'), JSON.stringify(source));
    cpSync(join(folder, 'kustomize-agent'), join(at, 'component'), { recursive: true });
    const own = within(place, {
      spec: {
        containers: [{ name: 'chat', ...fragments.helper.service }],
        initContainers: [{ name: 'remit-agent', env: [{ name: 'FORWARD', value: FORWARD }] }],
      },
    });
    const patch = JSON.stringify({ apiVersion, kind, metadata: { name: 'web' }, ...own });
    const kustomization = { resources: ['object.json'], components: ['../component'], patches: [{ patch }] };
    writeFileSync(join(at, 'base/kustomization.yaml'), JSON.stringify(kustomization));
    const made = specIn(parse(execFileSync(kubectl, ['kustomize', join(at, 'base')], { encoding: 'utf8' })), place);
    expect(made).toEqual(specIn(byCommand(source), place));
    expect(made.initContainers?.map(({ name }) => name)).toEqual(['remit-agent', 'first']);
  });

  it('is not in a workload that does not ask', () => {
    const at = temporary.folder();
    mkdirSync(join(at, 'base'));
    const source = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web' }, spec: POD.spec };
    writeFileSync(join(at, 'base/object.json'), JSON.stringify(source));
    cpSync(join(folder, 'kustomize-agent'), join(at, 'component'), { recursive: true });
    const kustomization = { resources: ['object.json'], components: ['../component'] };
    writeFileSync(join(at, 'base/kustomization.yaml'), JSON.stringify(kustomization));
    expect(parse(execFileSync(kubectl, ['kustomize', join(at, 'base')], { encoding: 'utf8' }))).toEqual(source);
  });
});

describeWith(both(kubernetesPart(), istiodPart()), 'the helper of a service by Istio', ([binaries, istio]) => {
  let kube: Kube;
  let injector: IstioInjector;
  beforeAll(async () => {
    kube = await startKube(binaries);
    await kube.kubectl(['apply', '-f', join(folder, 'guard.yaml')]);
    await kube.namespace('plain');
    injector = await startInjector(istio, kube);
    // The guard comes into force a moment after it was written.
    await until(async () => (await tried(pod)).stderr.includes('`remit-agent` must be the one'), { what: 'the guard' });
  });
  afterAll(async () => {
    await injector?.close();
    await kube?.close();
  });

  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...POD.metadata, name: 'web', namespace: 'plain' },
    spec: POD.spec,
  };
  const byIstio = (source: typeof pod): Promise<typeof pod> => {
    const annotations = { ...source.metadata.annotations, 'inject.istio.io/templates': 'sidecar,remit,remit-agent' };
    return injector.injected({ ...source, metadata: { ...source.metadata, annotations } });
  };
  const tried = (object: object) =>
    kube.tried(['create', '-o', 'json', '-f', '-', '--dry-run=server'], { input: [object] });
  const admitted = async (object: object): Promise<Spec> => {
    const { status, stderr, stdout } = await tried(object);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return (JSON.parse(stdout) as { readonly spec: Spec }).spec;
  };

  it('is what the command adds, and the guard takes it', async () => {
    const [made, wanted] = [await admitted(await byIstio(pod)), await admitted(byCommand(pod))];
    expect(made.initContainers?.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['istio-proxy', 'remit-agent', 'first']),
    );
    expect(entry(made.initContainers, 'remit-agent')).toEqual(entry(wanted.initContainers, 'remit-agent'));
    expect(own(made)).toEqual(own(wanted));
    for (const name of ['chat', 'shipper']) {
      const [got, expected] = [entry(made.containers, name), entry(wanted.containers, name)];
      expect([got?.['env'], got?.['volumeMounts']]).toEqual([expected?.['env'], expected?.['volumeMounts']]);
    }
  });

  it('is in no pod that does not ask', async () => {
    const source = { ...pod, metadata: { ...pod.metadata, annotations: {} as typeof ASKED } };
    const { spec } = await byIstio(source);
    expect(spec.initContainers.map(({ name }) => name)).not.toContain('remit-agent');
  });
});

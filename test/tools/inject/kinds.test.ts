import { execFileSync } from 'node:child_process';
import { cpSync, writeFileSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { injectedInto } from '../../../src/tools/inject/inject.ts';
import { podPlaceOf } from '../../../src/tools/inject/pod-place.ts';
import { scratch } from '../../builders/scratch.ts';
import { shippedFragments } from '../../builders/shipped-fragments.ts';
import { describeWith, kubernetesPart } from '../../parts.ts';

const folder = resolve(import.meta.dirname, '../../../deploy/inject');
const fragments = shippedFragments();

interface Named {
  readonly name: string;
}

/** A pod as authors write them: with others of each list, and the volumes that the page of injection names. */
const POD = {
  metadata: { labels: { app: 'web' } },
  spec: {
    serviceAccountName: 'web',
    restartPolicy: 'Never',
    initContainers: [
      { name: 'first', image: 'first:1' },
      { name: 'envoy', image: 'envoy:1', restartPolicy: 'Always' },
    ],
    containers: [
      { name: 'app', image: 'app:1', volumeMounts: [{ name: 'data', mountPath: '/data' }] },
      { name: 'beside', image: 'beside:1' },
    ],
    volumes: [
      { name: 'data', emptyDir: {} },
      { name: 'remit-run', emptyDir: {} },
      { name: 'remit-envoy', emptyDir: {} },
    ],
  },
};

/** A workload of a kind with that pod. */
function workload(kind: string, apiVersion: string): object {
  const place = podPlaceOf({ kind, apiVersion }) ?? [];
  const inner = place.reduceRight<object>((value, key) => ({ [key]: value }), POD);
  const metadata = { ...POD.metadata, name: 'web' };
  return { apiVersion, kind, ...inner, metadata };
}

const specIn = (object: Readonly<Record<string, unknown>>, place: readonly string[]): Record<string, unknown> => {
  const spec = [...place, 'spec'].reduce<unknown>(
    (value, key) => (value as Readonly<Record<string, unknown>>)[key],
    object,
  ) as Record<string, unknown>;
  const volumes = spec['volumes'] as readonly Named[];
  // Their order means nothing.
  return { ...spec, volumes: volumes.toSorted((a, b) => (a.name < b.name ? -1 : 1)) };
};

describeWith(kubernetesPart(), 'injection into files', ({ kubectl }) => {
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
  ])('makes the same %s by the command and by Kustomize (issue 38, point 5)', (kind, apiVersion) => {
    const source = JSON.stringify(workload(kind, apiVersion));
    const at = temporary.folder();
    mkdirSync(join(at, 'base'));
    writeFileSync(join(at, 'base/object.json'), source);
    cpSync(join(folder, 'kustomize'), join(at, 'component'), { recursive: true });
    const kustomization = { resources: ['object.json'], components: ['../component'] };
    writeFileSync(join(at, 'base/kustomization.yaml'), JSON.stringify(kustomization));
    const result = injectedInto(source, fragments);
    const place = podPlaceOf({ kind, apiVersion }) ?? [];
    const byCommand = specIn(JSON.parse('text' in result ? result.text : '{}'), place);
    const byKustomize = specIn(
      parse(execFileSync(kubectl, ['kustomize', join(at, 'base')], { encoding: 'utf8' })),
      place,
    );
    for (const field of Object.keys({ ...byCommand, ...byKustomize }))
      expect([field, byKustomize[field]]).toEqual([field, byCommand[field]]);
    expect((byCommand['initContainers'] as readonly Named[]).map(({ name }) => name)).toEqual([
      'remit',
      'first',
      'envoy',
    ]);
  });
});

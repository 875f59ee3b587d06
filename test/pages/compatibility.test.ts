import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { POSTGRES_VERSION } from '../../src/dev/postgres/binaries.ts';
import {
  CEDAR_VERSION,
  ENVOY_GATEWAY_VERSION,
  envoyVersions,
  ETCD_VERSION,
  HELM_3_VERSION,
  HELM_VERSION,
  ISTIO_VERSION,
  JAEGER_VERSION,
  KUBERNETES_VERSION,
  PATRONI_VERSION,
  PROMETHEUS_VERSION,
  SEAWEEDFS_VERSION,
  SPIRE_VERSION,
} from '../parts/cache.ts';

const root = resolve(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const manifest = JSON.parse(read('package.json'));
const page = read('deploy/guide/reference/compatibility.md');

/** The day in the version of a Go module that has no releases. */
const dayIn = (version: string): string => version.replace(/^.*-(\d{4})(\d\d)(\d\d)\d{6}-.*$/, '$1-$2-$3');

/** What the tests run against, by its name on the page. */
const tested: ReadonlyMap<string, string> = new Map([
  ['Node.js', manifest.devDependencies.node],
  ['Envoy', envoyVersions.join(', ')],
  ['SPIRE', SPIRE_VERSION],
  ['Istio', `main of ${dayIn(ISTIO_VERSION)}`],
  ['Envoy Gateway', ENVOY_GATEWAY_VERSION],
  ['Kubernetes', KUBERNETES_VERSION],
  ['Helm', `${HELM_3_VERSION}, ${HELM_VERSION}`],
  ['PostgreSQL', POSTGRES_VERSION],
  ['Patroni', PATRONI_VERSION],
  ['etcd', ETCD_VERSION],
  ['S3', `SeaweedFS of ${dayIn(SEAWEEDFS_VERSION)}`],
  ['Prometheus', PROMETHEUS_VERSION],
  ['Jaeger', JAEGER_VERSION],
  ['Cedar', CEDAR_VERSION],
]);

/** The cells of the table, by the first of each row. */
const rows: ReadonlyMap<string, readonly string[]> = new Map(
  page
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| with '))
    .map((line) => {
      const [name = '', ...cells] = line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim());
      return [name, cells];
    }),
);

describe('deploy/guide/reference/compatibility.md', () => {
  it('has the versions that the tests run against', () => {
    expect(new Map([...rows].map(([name, [, versions = '']]) => [name, versions]))).toEqual(tested);
  });

  it('runs the tests on the Node.js it names', () => {
    expect(process.versions.node).toBe(manifest.devDependencies.node);
    expect(manifest.dependencies['@cedar-policy/cedar-wasm']).toBe(CEDAR_VERSION);
  });

  it('needs what the requirements, the chart and `remit` need', () => {
    const requirements = read('deploy/guide/install/requirements.md');
    for (const name of ['Node.js', 'Envoy']) {
      const [needed = ''] = rows.get(name) ?? [];
      expect(requirements).toContain(`| ${name} | ${needed} |`);
    }
    const [kubernetes = ''] = rows.get('Kubernetes') ?? [];
    const least = /^kubeVersion: '>= (\d+\.\d+)\.0-0'$/m.exec(read('deploy/chart/Chart.yaml'))?.[1];
    expect(kubernetes).toMatch(new RegExp(`^${least};`));
    const [postgres = ''] = rows.get('PostgreSQL') ?? [];
    expect(read('deploy/guide/operate/postgresql.md')).toContain(`PostgreSQL ${postgres} or later`);
  });
});

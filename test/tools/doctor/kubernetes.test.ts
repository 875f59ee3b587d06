import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { testFolders } from '../../builders/test-folders.ts';
import { diagnosed } from './diagnosed.ts';
import { cluster, KUBERNETES_FAULTS } from './kubernetes-faults.ts';

const folder = testFolders();

describe('remit doctor -f of objects of a cluster', () => {
  it.each(KUBERNETES_FAULTS)('finds, with Envoy in the $guard, $name', async ({ break: change, found, guard }) => {
    const parts = cluster(guard);
    change(parts);
    const at = folder();
    const texts = parts.objects.map((one) => stringify(one, { aliasDuplicateObjects: false }));
    writeFileSync(join(at, 'cluster.yaml'), texts.join('---\n'));
    const { findings, report } = await diagnosed(['-f', at, '--json']);
    expect(report.not_examined).toEqual([]);
    const codes = findings.filter(({ level }) => level !== 'info').map(({ code }) => code);
    expect([...new Set(codes)].toSorted()).toEqual(found.toSorted());
  });
});

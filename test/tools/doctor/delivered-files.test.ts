import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { deliveredTo } from '../../../src/tools/doctor/collect/delivered-files.ts';
import { testFolders } from '../../builders/test-folders.ts';

const folder = testFolders();

const from = (path: string): object => ({ rds: { config_source: { path_config_source: { path } } } });

describe('the files from which an Envoy takes its configuration', () => {
  it('are read, and those that they name', () => {
    const at = folder();
    writeFileSync(
      join(at, 'first.yaml'),
      JSON.stringify({ resources: [{ name: 'one', ...from('/etc/second.yaml') }] }),
    );
    writeFileSync(join(at, 'second.yaml'), JSON.stringify({ resources: [{ name: 'two' }] }));
    const { beside, resources } = deliveredTo(from('first.yaml'), at);
    expect(resources).toMatchObject([{ name: 'one' }, { name: 'two' }]);
    expect([...beside].map(([path, { kind }]) => `${path} ${kind}`)).toEqual([
      'first.yaml file',
      '/etc/second.yaml file',
    ]);
  });

  it('are named as not read beyond a number', () => {
    const at = folder();
    const names = Array.from({ length: 103 }, (_one, n) => `${n}.yaml`);
    for (const name of names) writeFileSync(join(at, name), JSON.stringify({ resources: [{ name }] }));
    const { beside, resources } = deliveredTo({ listeners: names.map(from) }, at);
    expect(resources).toHaveLength(100);
    expect([...beside].flatMap(([path, { kind }]) => (kind === 'unreadable' ? [path] : []))).toEqual([
      '100.yaml',
      '101.yaml',
      '102.yaml',
    ]);
  });
});

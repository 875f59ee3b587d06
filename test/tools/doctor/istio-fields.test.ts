import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { mustFind } from '../../builders/must.ts';
import { meshConfig, proxyConfig } from '../../../src/tools/doctor/hosts/mesh-fields.ts';

// The fields of the messages in the API of the Istio that tests run; a newer one is written here, and then this fails.
const [, ...lines] = readFileSync(join(import.meta.dirname, 'istio-api/fields.txt'), 'utf8')
  .trim()
  .split('\n');

it.each([meshConfig, proxyConfig])(
  'the table of $proto has a finding, or a reason why not, for each field of Istio',
  ({ fields, proto }) => {
    const [, ...names] = mustFind(lines.find((line) => line.startsWith(`${proto} `))).split(' ');
    expect(names.length).toBeGreaterThan(30);
    expect(names.filter((name) => !fields.has(name))).toEqual([]);
  },
);

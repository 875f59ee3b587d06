import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { configFrom } from '../../../src/core/config/config.ts';
import { defaultLimits } from '../../authority/issuer/default-limits.ts';

const page = readFileSync(resolve(import.meta.dirname, '../../../deploy/guide/operate/issuer-limits.md'), 'utf8');
const rows = page
  .split('\n')
  .filter((line) => line.startsWith('| `'))
  .map((line) => line.split('|').map((cell) => cell.trim()));
const read = (limits: string) =>
  configFrom(
    `trustDomains: acme.test\nsvid: { certificate: c, key: k, bundle: b }\nissuer: { url: https://issuer.acme.test${limits} }\n`,
    { file: 'remit.yaml', folder: '/etc/remit', environment: {} },
  );

describe('deploy/guide/operate/issuer-limits.md', () => {
  it('lists the limits with their defaults', () => {
    const documented = Object.fromEntries(rows.map(([, key = '', value]) => [key.replaceAll('`', ''), Number(value)]));
    expect(documented).toEqual(defaultLimits());
    expect(read('')).toMatchObject({ value: { issuer: { limits: defaultLimits() } } });
  });

  it.each(rows.map(([, key = '', , range = '']) => [key.replaceAll('`', ''), range] as const))(
    'states the range of %s, %s',
    (key, range) => {
      const isTaken = (value: number): boolean => !('problems' in read(`, limits: { ${key}: ${value} }`));
      const [from = NaN, to = NaN] = range.split('–').map(Number);
      expect([from - 1, from, to, to + 1].map(isTaken)).toEqual([false, true, true, false]);
    },
  );
});

import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { catalogFrom } from '../../src/core/action/catalog/catalog-assembly.ts';
import { intentFileFrom } from '../../src/agent/task/intent.ts';
import { configFrom, configProblemText } from '../../src/core/config/config.ts';

const root = resolve(import.meta.dirname, '../..');
const pages = ['README.md', 'cedar-policies/README.md'].concat(
  readdirSync(join(root, 'deploy'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `deploy/${name}`),
);

interface Snippet {
  readonly page: string;
  readonly text: string;
  readonly value: Readonly<Record<string, unknown>>;
}

const isSection = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const snippets: readonly Snippet[] = pages.flatMap((page) =>
  [...readFileSync(join(root, page), 'utf8').matchAll(/^```yaml\n([^]*?)^```/gm)].flatMap(([, text = '']) => {
    const value: unknown = parse(text);
    return isSection(value) ? [{ page, text, value }] : [];
  }),
);
const having = (...keys: readonly string[]): readonly Snippet[] =>
  snippets.filter(({ value }) => Object.keys(value).some((key) => keys.includes(key)));

/** What a part of a configuration needs beside it. */
const beside = {
  trustDomains: ['acme.test'],
  svid: { certificate: 'svid.pem', key: 'svid.key', bundle: 'bundle.pem' },
};

const configurations = having(
  'trustDomains',
  'extAuthz',
  'issuer',
  'policies',
  'ledger',
  'outcomes',
  'endedTasks',
  'log',
  'svid',
);
const catalogs = having('servers');
const intents = having('access');

describe('the YAML in the pages', () => {
  it('is found', () => {
    expect(configurations.length).toBeGreaterThan(12);
    expect(catalogs.length).toBeGreaterThan(0);
    expect(intents.length).toBeGreaterThan(0);
  });

  it.each(configurations.map((one) => [one.page, one.text, one] as const))(
    'is a good configuration in %s: %s',
    (_page, _text, { value }) => {
      const issuer = isSection(value['issuer'])
        ? { issuer: { url: 'https://remit.acme.test', ...value['issuer'] } }
        : {};
      const read = configFrom(JSON.stringify({ ...beside, ...value, ...issuer }), {
        file: 'remit.yaml',
        folder: '/etc/remit',
        environment: {},
      });
      expect('problems' in read ? read.problems.map(configProblemText) : []).toEqual([]);
    },
  );

  it.each(catalogs.map((one) => [one.page, one.text] as const))('is a good catalog in %s: %s', (_page, text) => {
    const read = catalogFrom(text, 'actions.yaml');
    expect('findings' in read ? read.findings : []).toEqual([]);
  });

  it.each(intents.map((one) => [one.page, one.text] as const))('is a good intent in %s: %s', (_page, text) => {
    const read = intentFileFrom(text, 'intent.yaml');
    expect('findings' in read ? read.findings : []).toEqual([]);
  });
});

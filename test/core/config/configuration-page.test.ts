import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { configurationKeys } from './configuration-keys.ts';

const page = readFileSync(resolve(import.meta.dirname, '../../../deploy/guide/reference/configuration.md'), 'utf8');
const rows = [...page.matchAll(/^\| `([a-z][\w.[\]]*)` \| (.*?) \| (.*?) \| (.+) \|$/gm)].map(
  ([, key = '', values = '', byDefault = '', meaning = '']) => ({ key, values, byDefault, meaning }),
);
const byKey = <T extends { readonly key: string }>(all: readonly T[]): readonly T[] =>
  all.toSorted((a, b) => (a.key < b.key ? -1 : 1));

describe('deploy/guide/reference/configuration.md', () => {
  it('lists every key of the configuration with its values and default, and no other', () => {
    expect(byKey(rows.map(({ key, values, byDefault }) => ({ key, values, byDefault })))).toEqual(
      byKey(configurationKeys()),
    );
    expect(rows.length).toBeGreaterThan(90);
  });

  it('describes each key', () => {
    expect(rows.filter(({ meaning }) => meaning.trim().length < 5)).toEqual([]);
  });
});

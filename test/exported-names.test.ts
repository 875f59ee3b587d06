import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';

const source = join(import.meta.dirname, '..', 'src');
const EXPORTED = /^export (?:async )?(?:abstract )?(?:class|const|function\*?|interface|let|type) (\w+)/gm;

/** One name means one thing in the whole tree. */
it('no name is exported by two files', () => {
  const files = new Map<string, Set<string>>();
  for (const file of globSync('**/*.ts', { cwd: source }).sort()) {
    for (const [, name = ''] of readFileSync(join(source, file), 'utf8').matchAll(EXPORTED)) {
      files.set(name, (files.get(name) ?? new Set()).add(file));
    }
  }
  expect(files.size).toBeGreaterThan(1_000);
  const shared = [...files].filter(([, { size }]) => size > 1);
  expect(shared.map(([name, at]) => `${name}: ${[...at].join(', ')}`)).toEqual([]);
});

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { folderPatch } from '../../../src/tools/learn/folder-patch.ts';
import { must } from '../../builders/must.ts';
import { scratch } from '../../builders/scratch.ts';

const { folder, remove } = scratch();
afterAll(remove);

it('makes each file as it is, by `git apply`, and overwrites none', () => {
  const files = new Map([
    ['a.yaml', 'one\n+two\n\n'],
    ['tests/b.yaml', 'no newline at its end'],
    ['empty.cedar', ''],
    ['c.md', '--- a/other\n+++ b/../other\n@@ -0,0 +1 @@\n+more\n\\ No newline at end of file\n'],
  ]);
  const patch = `${must(folderPatch(files))}\n`;
  const cwd = folder();
  const apply = (): Buffer => execFileSync('git', ['apply', '-'], { cwd, input: patch, stdio: 'pipe' });
  apply();
  for (const [name, text] of files) expect(readFileSync(join(cwd, name), 'utf8')).toBe(text);
  expect(apply).toThrow(/already exists/);
});

it.each([
  ['bytes', 'a.pb', Uint8Array.of(1)],
  ['a name that would be quoted', 'a "b".yaml', ''],
  ['a line break in a name', 'a\nb.yaml', ''],
])('refuses %s', (_what, name, content) => {
  expect(folderPatch(new Map([[name, content]]))).toEqual({ problem: expect.stringContaining('use --out') });
});

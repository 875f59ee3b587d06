import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from '@jest/globals';
import { strictJsonFrom } from '../../src/core/token/jose/strict-json.ts';
import { isProblem } from '../../src/core/runtime/problem.ts';

const root = resolve(import.meta.dirname, '../..');

// The schema of intents had two members twice: parsers that take the last one said nothing, and `remit doctor -f` refused the file.
it('no JSON file of the product has a member twice, or is read in two ways', () => {
  const files = execFileSync('git', ['ls-files', '*.json'], { cwd: root, encoding: 'utf8' }).split('\n');
  const own = files.filter((file) => /^(?:deploy|cedar-policies|[^/]+\.json$)/.test(file));
  expect(own.length).toBeGreaterThan(10);
  const wrong = own.flatMap((file) => {
    const read = strictJsonFrom(readFileSync(join(root, file)));
    return isProblem(read) ? [`${file} ${read.problem}`] : [];
  });
  expect(wrong).toEqual([]);
});

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { scratch } from '../../../builders/scratch.ts';

const { folder, remove } = scratch();
afterAll(remove);

const tested = resolve(import.meta.dirname, '../../../../src/core/ledger/log/checkpoint-file.ts');
const script = `import { appendNote } from ${JSON.stringify(tested)}; appendNote(process.argv[1], 'a'.repeat(4000));`;

/** Appends a note of 4,000 bytes in a process, after a command of the shell. */
function appendedIn(shell: string, file: string) {
  const { NODE_COMPILE_CACHE: _, ...env } = process.env;
  const words = ['-c', `${shell}; exec "$0" --no-warnings --input-type=module -e "$1" "$2"`, process.execPath, script];
  const { status, stderr } = spawnSync('sh', [...words, file], { encoding: 'utf8', env });
  return { status, stderr, bytes: readFileSync(file).length };
}

describe('appendNote', () => {
  it('throws if the file system takes a part of the note only', () => {
    expect(appendedIn('true', join(folder(), 'all.txt'))).toEqual({ status: 0, stderr: '', bytes: 4_001 });
    const { status, stderr, bytes } = appendedIn('ulimit -f 1', join(folder(), 'part.txt'));
    expect([status, stderr]).toEqual([1, expect.stringContaining('EFBIG')]);
    expect(bytes).toBeGreaterThan(0);
    expect(bytes).toBeLessThan(4_001);
  });
});

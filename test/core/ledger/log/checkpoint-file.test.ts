import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { appendNote } from '../../../../src/core/ledger/log/checkpoint-file.ts';
import { anchorsIn } from '../../../../src/core/ledger/proof/anchor-file.ts';
import { signedCheckpoint } from '../../../../src/core/ledger/proof/checkpoint.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { privateKeyOf } from '../keys.ts';
import { notesIn } from './verified.ts';

const folder = testFolders();

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

  it.each([
    ['after another note', [1]],
    ['at the start of the file', []],
  ])('drops a note that was cut at any byte %s, and keeps the others', (_name, before) => {
    const place = folder();
    const start = before.map((size) => `${noteOf(size)}\n`).join('');
    const cut = Buffer.from(noteOf(2));
    for (let bytes = 0; bytes <= cut.length; bytes++) {
      const file = join(place, `${bytes}.txt`);
      writeFileSync(file, Buffer.concat([Buffer.from(start), cut.subarray(0, bytes)]));
      appendNote(file, noteOf(3));
      const kept = [...before, ...(bytes === cut.length ? [2] : []), 3].map(noteOf);
      expect([bytes, notesIn(file)]).toEqual([bytes, kept]);
      expect(anchorsIn(readFileSync(file, 'utf8'))).toMatchObject({
        anchors: kept.map((note) => ({ note })),
        isCut: false,
      });
    }
  });

  it('keeps a text that is no note', () => {
    const file = join(folder(), 'other.txt');
    writeFileSync(file, 'somebody else wrote this');
    appendNote(file, noteOf(1));
    expect(readFileSync(file, 'utf8')).toBe(`somebody else wrote this\n\n${noteOf(1)}\n`);
  });
});

const noteOf = (size: number): string =>
  signedCheckpoint(
    { origin: 'remit.acme.test/main/00000000000000000000000000000001', size, root: Buffer.alloc(32, size) },
    privateKeyOf(Buffer.alloc(32, 9)),
  );

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { isCommandRefusal } from '../../../src/cli/task/task-source.ts';
import { fileSink, writtenTo } from '../../../src/cli/ledger/export-sink.ts';
import type { ExportSink } from '../../../src/cli/ledger/export-sink.ts';
import { testFolders } from '../../builders/test-folders.ts';

const folder = testFolders();

function opened(): { readonly file: string; readonly sink: ExportSink } {
  const file = join(folder(), 'out.jsonl');
  const sink = fileSink(file);
  if (isCommandRefusal(sink)) throw new Error(sink.message);
  return { file, sink };
}

function* damaged(): Generator<string> {
  yield 'one\n';
  throw new Error('the segment is damaged');
}

describe('`writtenTo` leaves a whole export or none', () => {
  it('keeps a file to which everything was written', async () => {
    const { file, sink } = opened();
    expect(await writtenTo(sink, ['one\n', 'two\n'])).toBeNull();
    expect(readFileSync(file, 'utf8')).toBe('one\ntwo\n');
  });

  it('deletes the file if a record cannot be read', async () => {
    const { file, sink } = opened();
    await expect(writtenTo(sink, damaged())).rejects.toThrow('the segment is damaged');
    expect(existsSync(file)).toBe(false);
  });

  it('deletes the file if it cannot be written, and says why', async () => {
    const { file, sink } = opened();
    function* closing(): Generator<string> {
      yield 'one\n';
      void sink.close();
      yield 'two\n';
    }
    expect(await writtenTo(sink, closing())).toBe(`\`${file}\` cannot be written: EBADF`);
    expect(existsSync(file)).toBe(false);
  });
});

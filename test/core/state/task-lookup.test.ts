import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { openStore } from '../../../src/authority/state/sqlite/open-store.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { agreeing, mustOpen } from '../../builders/state-file.ts';
import { byOperator, issuer, taskNumber, tokenNumber } from '../../builders/task.ts';
import { must } from '../../builders/must.ts';

const folder = testFolders();

const TASKS = 2_000;
const MIB = 1024 ** 2;

/** Bytes this process has read so far, from files and from cached pages. */
const readBytes = (): number => Number(/^rchar: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);

// Issue 15, point 1: `remit task end` read the whole file, once to check it and once to find the task by its id.
describe('looking up a task by its id and ending it', () => {
  it('costs the same however large the file is', () => {
    const file = join(folder(), 'state.db');
    const store = mustOpen(file);
    const detailsJson = JSON.stringify(['x'.repeat(8_000)]);
    store.inOneCommit(() => {
      for (let n = 1; n <= TASKS; n++) store.insertTask(taskNumber(n, { detailsJson }), tokenNumber(n), []);
    });
    store.close();
    expect(statSync(file).size).toBeGreaterThan(12 * MIB);

    const before = readBytes();
    const command = must(openStore(file, { ...agreeing(), randomBytes: () => new Uint8Array(), access: 'write' }));
    const found = command.tasks({ id: taskNumber(7).id, limit: 1 });
    expect(found).toMatchObject([{ id: taskNumber(7).id }]);
    expect(command.applyTaskEvent({ issuer, id: taskNumber(7).id }, byOperator('revoke'), 'operator')).toMatchObject({
      changed: true,
    });
    command.close();
    expect(readBytes() - before).toBeLessThan(2 * MIB);
  });
});

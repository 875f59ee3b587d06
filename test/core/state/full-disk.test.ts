import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import type { StoreFailure } from '../../../src/core/runtime/store-failure.ts';
import { describeWith } from '../../parts.ts';
import { endRecord } from '../../builders/ledger-record.ts';
import { scratch } from '../../builders/scratch.ts';
import { mustOpen } from '../../builders/state-file.ts';
import { taskNumber, tokenNumber } from '../../builders/task.ts';

const { folder, remove } = scratch();
const mounted: string[] = [];

const mountSmall = (): string | null => {
  const at = folder();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m,mode=0700', 'tmpfs', at], { stdio: 'ignore' });
  } catch {
    return null;
  }
  mounted.push(at);
  return at;
};
const disk = mountSmall();
afterAll(() => {
  for (const at of mounted) execFileSync('umount', ['-l', at]);
  remove();
});

const part = { name: 'root, to mount a tmpfs of 2 MiB', found: disk, enable: 'sudo npm test' };

describeWith(part, 'a state file on a full disk', (at) => {
  it('fails as full, loses nothing, and goes on', () => {
    const fatal: StoreFailure[] = [];
    const store = mustOpen(join(at, 'state.db'), { onFatal: (failure) => fatal.push(failure) });
    writeFileSync(join(at, 'ballast'), Buffer.alloc(1024 ** 2));
    let acknowledged = 0;
    let failure: ReturnType<typeof store.insertTask> = null;
    for (let n = 1; failure === null; n++) {
      failure = store.insertTask(taskNumber(n), tokenNumber(n), [endRecord(n, 'x'.repeat(4_000))]);
      if (failure === null) acknowledged++;
    }
    expect(failure).toEqual({ kind: 'store-failure', code: 'full', detail: 'the disk under the state file is full' });
    expect(store.tasks({})).toHaveLength(acknowledged);
    rmSync(join(at, 'ballast'));
    expect(store.insertTask(taskNumber(0), tokenNumber(0), [])).toBeNull();
    expect(fatal).toEqual([]);
    store.close();
    const again = mustOpen(join(at, 'state.db'));
    expect(again.tasks({})).toHaveLength(acknowledged + 1);
    again.close();
  });
});

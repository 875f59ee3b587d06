import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, it } from '@jest/globals';
import { describeWith, stracePart } from '../../../parts.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { agreeing } from '../../../builders/state-file.ts';
import { taskNumber, tokenNumber } from '../../../builders/task.ts';
import { fileImplementations } from '../../../core/state/contract/implementations.ts';

// Traced processes start here, which is slow on a loaded machine.

const folder = testFolders();

/** The threads that waited for a disk in a process that settles uses, according to the kernel. `main` is the one of the event loop. */
async function syncing(strace: string, implementation: 'direct' | 'thread'): Promise<readonly string[]> {
  const at = folder();
  const [file, log] = [join(at, 'state.db'), join(at, 'log')];
  const open = fileImplementations[implementation];
  if (open === undefined) throw new Error('no such implementation');
  const state = await open(file, agreeing());
  await state.authority.insertTask(taskNumber(1), tokenNumber(1), []);
  await state.close();
  const script = resolve(import.meta.dirname, '../../../core/state/contract/killed-settler.ts');
  const traced = ['-f', '-qq', '-o', log, '-e', 'trace=fsync,fdatasync,sync_file_range,syncfs,sync,msync'];
  const child = spawn(strace, [...traced, process.execPath, '--no-warnings', script, implementation, file, '1'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let said = '';
  child.stdout.on('data', (data) => {
    said += String(data);
    const main = /^opened (\d+)$/m.exec(said)?.[1];
    if (main !== undefined && said.split('\n').length > 60) process.kill(Number(main), 'SIGKILL');
  });
  await once(child, 'close');
  const main = /^opened (\d+)$/m.exec(said)?.[1];
  const tids = [...readFileSync(log, 'utf8').matchAll(/^(\d+) +\w*sync/gm)].map(([, tid]) => tid);
  return [...new Set(tids.map((tid) => (tid === main ? 'main' : 'another')))];
}

describeWith(stracePart(), 'law 11: the event loop never waits for a disk', (strace) => {
  it('makes every sync outside the thread of the event loop if a thread writes the state file', async () => {
    expect(await syncing(strace, 'thread')).toEqual(['another']);
  });

  it('detects syncs on the event loop if the state file is written without a thread', async () => {
    expect(await syncing(strace, 'direct')).toEqual(['main']);
  });
});

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, describe, expect, it } from '@jest/globals';
import { lockState } from '../../../../src/authority/state/sqlite/state-lock.ts';
import { isStoreFailure } from '../../../../src/core/runtime/store-failure.ts';
import { testFolders } from '../../../builders/test-folders.ts';

const folder = testFolders();

const outcomeOf = (taken: ReturnType<typeof lockState>): string => (isStoreFailure(taken) ? taken.code : 'taken');

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** Another process that takes the lock and keeps it. */
const holder = async (file: string) => {
  const words = [
    '--expose-gc',
    '--no-warnings',
    join(import.meta.dirname, '../../../core/state/state-holder.ts'),
    file,
  ];
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  await once(createInterface(child.stdout), 'line');
  return async (): Promise<void> => {
    child.kill('SIGKILL');
    await once(child, 'close');
  };
};

describe('lockState', () => {
  it('refuses beside another process, until that is killed', async () => {
    const file = join(folder(), 'state.db');
    const kill = await holder(file);
    expect(lockState(file)).toMatchObject({
      code: 'busy',
      detail: `another process serves with the state file \`${file}\`: stop it, or make this process a sidecar of it with \`state: authority:unix:/path\``,
    });
    await kill();
    expect(outcomeOf(lockState(file))).toBe('taken');
  });

  it('is free again once it is released', () => {
    const file = join(folder(), 'state.db');
    const held = lockState(file);
    expect([outcomeOf(held), outcomeOf(lockState(file))]).toEqual(['taken', 'busy']);
    if (!isStoreFailure(held)) held.release();
    expect(outcomeOf(lockState(file))).toBe('taken');
  });

  it('fails if the folder does not exist', () => {
    const file = join(folder(), 'none', 'state.db');
    expect(lockState(file)).toMatchObject({
      code: 'unusable',
      detail: `state file \`${file}\` cannot be locked by \`${file}.lock\`: ENOENT`,
    });
  });
});

import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import { lockOutbox, lockState } from '../../../src/state/sqlite/state-lock.ts';
import type { StateAccess } from '../../../src/state/sqlite/state-lock.ts';
import { isStoreFailure } from '../../../src/sqlite/store-failure.ts';
import { scratch } from '../../builders/scratch.ts';

const { folder, remove } = scratch();
afterAll(remove);

const outcomeOf = (taken: ReturnType<typeof lockState>): string => (isStoreFailure(taken) ? taken.code : 'taken');

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** Another process that takes the lock and keeps it. */
const holder = async (file: string, access: StateAccess) => {
  const words = ['--expose-gc', '--no-warnings', join(import.meta.dirname, '../state-holder.ts'), file, access];
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  await once(createInterface(child.stdout), 'line');
  return async (): Promise<void> => {
    child.kill('SIGKILL');
    await once(child, 'close');
  };
};

describe('lockState', () => {
  it.each<[StateAccess, StateAccess, string]>([
    ['exclusive', 'exclusive', 'busy'],
    ['exclusive', 'shared', 'busy'],
    ['shared', 'exclusive', 'busy'],
    ['shared', 'shared', 'taken'],
  ])('beside a process with `%s`, gives one with `%s`: %s, until the first is killed', async (first, second, given) => {
    const file = join(folder(), 'state.db');
    const kill = await holder(file, first);
    const beside = lockState(file, second);
    expect(outcomeOf(beside)).toBe(given);
    if (!isStoreFailure(beside)) beside.release();
    await kill();
    expect(outcomeOf(lockState(file, 'exclusive'))).toBe('taken');
  });

  it('names the required setting, and where to set it', () => {
    const file = join(folder(), 'state.db');
    const held = lockState(file, 'exclusive');
    expect(lockState(file, 'exclusive')).toMatchObject({
      detail: `another process serves with the state file \`${file}\`: to run several, give each of them \`stateAccess: shared\`, and its own \`extAuthz.listen\`, \`admin.listen\` and \`ledger.folder\``,
    });
    expect(lockState(file, 'shared')).toMatchObject({
      detail: `another process holds the state file \`${file}\` exclusively: give that one \`stateAccess: shared\` too, and restart it`,
    });
    if (!isStoreFailure(held)) held.release();
    expect(outcomeOf(lockState(file, 'shared'))).toBe('taken');
  });

  it('fails where the folder does not exist', () => {
    const file = join(folder(), 'none', 'state.db');
    expect(lockState(file, 'exclusive')).toMatchObject({
      code: 'unusable',
      detail: `state file \`${file}\` cannot be locked by \`${file}.lock\`: ENOENT`,
    });
  });
});

describe('lockOutbox', () => {
  it('has one holder among the processes that share the state file', () => {
    const file = join(folder(), 'state.db');
    lockState(file, 'shared');
    const held = lockOutbox(file);
    expect([outcomeOf(held), outcomeOf(lockOutbox(file))]).toEqual(['taken', 'busy']);
    if (!isStoreFailure(held)) held.release();
    expect(outcomeOf(lockOutbox(file))).toBe('taken');
  });
});

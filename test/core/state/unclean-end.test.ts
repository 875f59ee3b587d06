import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from '@jest/globals';
import { openStore } from '../../../src/authority/state/sqlite/open-store.ts';
import type { StoreOptions } from '../../../src/authority/state/sqlite/open-store.ts';
import { isStoreFailure } from '../../../src/core/runtime/store-failure.ts';
import { endRecord } from '../../builders/ledger-record.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { agreeing, mustOpen } from '../../builders/state-file.ts';
import { taskNumber, tokenNumber } from '../../builders/task.ts';
import { compiledOnce, writerWords } from './writer-process.ts';

const folder = testFolders();
const environment = compiledOnce(folder());

/** The result of opening the file; what was opened is closed. */
function opening(file: string, access: StoreOptions['access'] = 'create'): string {
  const store = openStore(file, { ...agreeing(), randomBytes, access });
  if (isStoreFailure(store)) return store.detail;
  store.close();
  return 'opened';
}

/** Damages a page of an index that no opening reads: only a check of the whole file finds it. */
function damage(file: string): void {
  const db = new DatabaseSync(file);
  db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  const root = Number(
    db.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'static_secrets_last_seen'").get()?.['rootpage'],
  );
  const pageBytes = Number(Object.values(db.prepare('PRAGMA page_size').get() ?? {})[0]);
  db.close();
  const bytes = readFileSync(file);
  bytes.fill(0xff, (root - 1) * pageBytes, root * pageBytes);
  writeFileSync(file, bytes);
}

/** Serves with the file in a process of its own until that is killed with SIGKILL. */
async function killServing(file: string): Promise<void> {
  const child = spawn(process.execPath, writerWords(file, '1'), {
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'close');
}

describe('openStore after an end', () => {
  it('checks the whole file after `kill -9` and after each refusal, but not after a clean end', async () => {
    const [killed, clean] = [join(folder(), 'state.db'), join(folder(), 'state.db')];
    await killServing(killed);
    const store = mustOpen(clean);
    store.insertTask(taskNumber(1), tokenNumber(1), [endRecord(1)]);
    store.close();
    damage(killed);
    damage(clean);
    expect(opening(clean)).toBe('opened');
    expect(opening(killed)).toMatch(/^state file `.*` is damaged: /);
    expect(opening(killed)).toMatch(/^state file `.*` is damaged: /);
  });

  it('is clean again once a process that checked the file ends cleanly', async () => {
    const file = join(folder(), 'state.db');
    await killServing(file);
    expect(opening(file)).toBe('opened');
    damage(file);
    expect(opening(file)).toBe('opened');
  });

  it('checks nothing for a command, which keeps the mark', async () => {
    const file = join(folder(), 'state.db');
    await killServing(file);
    damage(file);
    expect(opening(file, 'write')).toBe('opened');
    expect(opening(file)).toMatch(/is damaged/);
  });
});

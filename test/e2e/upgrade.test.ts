import { stateFormat } from '../../src/authority/state/sqlite/schema.ts';
import { chmodSync, existsSync, readFileSync } from 'node:fs';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { lockState } from '../../src/authority/state/sqlite/state-lock.ts';
import { isStoreFailure } from '../../src/core/runtime/store-failure.ts';
import { ran, remit } from './process.ts';

// Processes start here, which is slow on a loaded machine.

const examples = resolve(import.meta.dirname, '../../cedar-policies');
const { version: VERSION } = stateFormat;
const dump = resolve(import.meta.dirname, '../core/state/state-schema-8.sql');

// Issue 15, point 2: a new release refused the state file of the former one, without a way out.
describe('a state file of schema version 8', () => {
  let folder = '';
  const state = (): string => join(folder, 'state.db');
  const version = (file = state()): unknown => {
    const db = new DatabaseSync(file, { readOnly: true });
    const found = db.prepare('PRAGMA user_version').get()?.['user_version'];
    db.close();
    return found;
  };
  const setVersion = (to: number): void => {
    const db = new DatabaseSync(state());
    db.exec(`PRAGMA user_version = ${to}`);
    db.close();
  };
  const serve = (...words: readonly string[]): readonly string[] => [
    'serve',
    '--config',
    join(folder, 'remit.yaml'),
    ...words,
  ];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'remit-upgrade-'));
    await cp(examples, join(folder, 'policies'), { recursive: true });
    const settings = {
      trustDomains: ['acme.test'],
      extAuthz: { listen: `unix:${folder}/check.sock` },
      admin: { listen: '127.0.0.1:0' },
      policies: 'policies',
      state: 'sqlite:state.db',
    };
    await writeFile(join(folder, 'remit.yaml'), stringify(settings));
    const db = new DatabaseSync(state());
    db.exec(readFileSync(dump, 'utf8'));
    db.exec('PRAGMA journal_mode = WAL');
    db.close();
    chmodSync(state(), 0o600);
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('is migrated by `remit serve`, as `--check` announces and other commands advise', async () => {
    const check = await ran(serve('--check'));
    expect([check.code, check.err]).toEqual([
      0,
      expect.stringContaining(
        `warning: the state file \`${state()}\` would be migrated from schema version 8 to ${VERSION}, and a copy kept beside it`,
      ),
    ]);
    const list = await ran(['task', 'list', '--state', state()]);
    expect([list.code, list.err]).toEqual([
      2,
      expect.stringContaining('`remit serve` of this build brings it up to date when it starts'),
    ]);
    expect(version()).toBe(8);

    const started = remit(serve());
    await started.said('checks on');
    started.child.kill('SIGTERM');
    expect(await started.exit).toBe(0);
    expect(started.err()).toContain(
      `migrated state file \`${state()}\`: migrated from schema version 8 to ${VERSION}; the former file is kept as \`${state()}.schema-8\``,
    );
    expect([version(), version(`${state()}.schema-8`)]).toEqual([VERSION, 8]);
    // Its tasks have long expired and are pruned; their records are in the ledger.
    const { out } = await ran(['ledger', 'query', '--state', state(), '--kind', 'end']);
    expect(out).toContain('completed by operator ada: done');
  });

  it('is not migrated while another process serves with it', async () => {
    const lock = lockState(state());
    const { code, err } = await ran(serve());
    if (!isStoreFailure(lock)) lock.release();
    expect([code, err]).toEqual([
      2,
      expect.stringContaining('must be migrated, but is in use: stop the process that serves with it first'),
    ]);
    expect([version(), existsSync(`${state()}.schema-8`)]).toEqual([8, false]);
  });

  it.each([
    [
      'before it',
      7,
      'this build migrates from version 8 or later: let the tasks in the file end under the build that wrote it',
    ],
    ['of a later build', VERSION + 1, 'run that build or a later build'],
  ])('is refused if it is %s, also by `--check`, with the way out', async (_name, of, wayOut) => {
    setVersion(of);
    for (const words of [serve('--check'), serve()]) {
      const { code, err } = await ran(words);
      expect([code, err]).toEqual([2, expect.stringContaining(wayOut)]);
    }
    expect(version()).toBe(of);
  });
});

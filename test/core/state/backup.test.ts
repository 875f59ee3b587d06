import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from '@jest/globals';
import type { LimitSpend } from '../../../src/core/limit/limit-spend.ts';
import type { Store } from '../../../src/core/state/store.ts';
import { makeBackup } from '../../../src/authority/state/backup/make-backup.ts';
import type { BackupPlaces } from '../../../src/authority/state/backup/make-backup.ts';
import { restoreBackup } from '../../../src/authority/state/backup/restore-backup.ts';
import type { Restored } from '../../../src/authority/state/backup/restore-backup.ts';
import type { RestorePlaces } from '../../../src/authority/state/backup/restore-plan.ts';
import { lockState } from '../../../src/authority/state/sqlite/state-lock.ts';
import { isStoreFailure } from '../../../src/core/runtime/store-failure.ts';
import type { Problem } from '../../../src/core/runtime/problem.ts';
import { isProblem } from '../../../src/core/runtime/problem.ts';
import { contents, incoming, mustOpenLog, settingsIn } from '../ledger/log/logs.ts';
import { observeOrder, stopOrder } from '../../builders/order.ts';
import { restoredOrdersText } from '../../../src/core/state/restored-orders.ts';
import { endRecord } from '../../builders/ledger-record.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { agreeing, mustOpen } from '../../builders/state-file.ts';
import { byOperator, issuer, taskNumber, tokenNumber } from '../../builders/task.ts';
import { must } from '../../builders/must.ts';

const folder = testFolders();

const key = (n: number) => ({ issuer, id: taskNumber(n).id });
const backup = (to: string, places: Partial<BackupPlaces> & Pick<BackupPlaces, 'state'>) =>
  makeBackup(
    to,
    { ledgers: [], keys: [], ...places },
    { nowMs: () => 1_000, version: '1.2.3', onProgress: () => undefined },
  );
const restore = (
  from: string,
  to: string,
  change: Partial<RestorePlaces> = {},
  clocks = agreeing(() => 5_000),
): Promise<Restored | Problem> =>
  restoreBackup(
    from,
    {
      state: join(to, 'state.db'),
      ledger: join(to, 'ledger'),
      others: [],
      keys: new Map(),
      isStateOnly: false,
      ...change,
    },
    { clocks, randomBytes, by: 'operator ada', onProgress: () => undefined },
  );

/** A file with tasks 1 to 3 (open with part 4, suspended, completed) and five waiting records, of which a ledger has two. */
function served(): { readonly at: string; readonly state: string; readonly ledger: string } {
  const at = folder();
  const state = join(at, 'state.db');
  const store = mustOpen(state, { nowMs: () => 2_000 });
  for (const n of [1, 2, 3]) store.insertTask(taskNumber(n), tokenNumber(n), [endRecord(n)]);
  store.insertPart(taskNumber(4, { parentId: taskNumber(1).id }), tokenNumber(4), [], {
    jtiDigest: 'digest-1',
    spends: [],
  });
  store.applyTaskEvent(key(2), byOperator('suspend'), 'operator');
  store.applyTaskEvent(key(3), byOperator('complete'), 'operator');
  const fileId = must(store.fileId());
  store.close();
  const settings = settingsIn(at);
  const log = mustOpenLog(settings);
  log.append([incoming(1, 1), incoming(2, 2)], fileId);
  log.close();
  return { at, state, ledger: settings.folder };
}

/** Edits the manifest of a backup. */
const rewritten = (at: string, change: (text: string) => string): void => {
  const file = join(at, 'backup.json');
  const text = readFileSync(file, 'utf8');
  expect(change(text)).not.toBe(text);
  writeFileSync(file, change(text));
};

describe('makeBackup', () => {
  it('leaves nothing if it fails', async () => {
    const { at, state } = served();
    const db = new DatabaseSync(state);
    db.exec('PRAGMA user_version = 99');
    db.close();
    const to = join(at, 'backup');
    expect(await backup(to, { state })).toEqual({
      problem: expect.stringMatching(/version 99.*run that build or a later build$/),
    });
    expect(existsSync(to)).toBe(false);
  });

  it('has keys only if requested, with mode 0600', async () => {
    const { at, state } = served();
    mkdirSync(join(at, 'signing-keys'));
    writeFileSync(join(at, 'signing-keys', 'a.pem'), 'secret', { mode: 0o600 });
    const keys = [
      { of: 'issuer.signingKey', path: join(at, 'signing-keys') },
      { of: 'ledger.key', path: join(at, 'ledger-key.pem') },
      { of: 'issuer.transactionKey', path: join(at, 'none.pem') },
    ];
    const to = join(at, 'backup');
    expect(await backup(to, { state, keys })).toMatchObject({
      keys: [
        { of: 'issuer.signingKey', place: 'keys/issuer.signingKey' },
        { of: 'ledger.key', place: 'keys/ledger.key' },
      ],
    });
    const other = folder();
    const places = new Map([
      ['issuer.signingKey', join(other, 'keys')],
      ['ledger.key', join(other, 'ledger-key.pem')],
    ]);
    expect(await restore(to, other, { keys: places })).toMatchObject({ keys: [...places.values()] });
    expect(readFileSync(join(other, 'keys', 'a.pem'), 'utf8')).toBe('secret');
    expect(readFileSync(join(other, 'ledger-key.pem'))).toEqual(readFileSync(join(at, 'ledger-key.pem')));
  });
});

const usedUp = (max: number) => ({ problem: 'limit', over: { used: max, max, endsMs: 60_000 } });

describe('restoreBackup', () => {
  it('refills no limit over all tasks: nothing is left of the windows in which it was restored', async () => {
    const { at, state } = served();
    const spend: LimitSpend = {
      kind: 'limit',
      limit: 'a-minute',
      measure: 'calls',
      who: '[]',
      windowMs: 60_000,
      amount: 1,
      max: 9,
      effect: 'deny',
    };
    const settle = (store: Store, id: string, of: Partial<LimitSpend> = {}) =>
      store.settle(id, null, { jtiDigest: '', spends: [{ ...spend, ...of }] });
    const before = mustOpen(state, { nowMs: () => 1_000 });
    expect(settle(before, 'd-1')).toEqual({ left: [8] });
    before.close();
    await backup(join(at, 'backup'), { state });
    const to = folder();
    must(await restore(join(at, 'backup'), to));
    let nowMs = 6_000;
    const store = mustOpen(join(to, 'state.db'), { nowMs: () => nowMs });
    expect(settle(store, 'd-2')).toMatchObject(usedUp(9));
    // Neither of a limit that the backup does not know.
    expect(settle(store, 'd-3', { limit: 'other', max: 5 })).toMatchObject(usedUp(5));
    nowMs = 60_000;
    expect(settle(store, 'd-4')).toEqual({ left: [8] });
    store.close();
  });

  it('ends open tasks, keeps ended tasks, and drops outbox records that the ledger has', async () => {
    const { at, state, ledger } = served();
    const to = folder();
    await backup(join(at, 'backup'), { state, ledgers: [ledger] });
    expect(await restore(join(at, 'backup'), to)).toEqual({
      state: join(to, 'state.db'),
      ended: 3,
      stops: 0,
      stopsUntilMs: 2_000,
      ledgers: [join(to, 'ledger-until-19700101T000001Z')],
      keys: [],
    });
    expect(contents(join(to, 'ledger-until-19700101T000001Z'))).toEqual(contents(ledger));
    const store = mustOpen(join(to, 'state.db'), { nowMs: () => 6_000 });
    const old = mustOpen(state, { nowMs: () => 6_000 });
    expect(store.fileId()).not.toEqual(old.fileId());
    old.close();
    const of = (n: number) => store.taskOf(issuer, key(n).id) as { state: string; cause: { code: string } };
    expect([1, 2, 3, 4].map((n) => [of(n).state, of(n).cause.code])).toEqual([
      ['revoked', 'operator.restored'],
      ['revoked', 'operator.restored'],
      ['completed', 'operator.completed'],
      ['revoked', 'parent.revoked'],
    ]);
    expect(store.restoredAtMs()).toBe(5_000);
    const waiting = must(store.outbox(0, 100));
    expect(waiting.map(({ outbox, kind }) => [outbox, kind])).toEqual([
      [3, 'end'],
      [4, 'event'],
      [5, 'end'],
      [6, 'end'],
      [7, 'end'],
      [8, 'end'],
      [9, 'event'],
    ]);
    const last = JSON.parse(Buffer.from(waiting.at(-1)?.bytes ?? []).toString());
    expect(last).toMatchObject({
      event: 'restored',
      by: 'operator ada',
      details: {
        backupMadeAt: 1_000,
        backupMadeBy: '1.2.3',
        endedTasks: 3,
        ledgers: [{ size: contents(ledger).records.length }],
      },
    });
    store.close();
  });

  it('keeps the stops of the backup, says until when they are known, and brings no order to observe back', async () => {
    const { at, state, ledger } = served();
    const store = mustOpen(state, { nowMs: () => 2_000 });
    expect([store.putOrder(stopOrder(), []), store.putOrder(observeOrder({ untilMs: 3_600_000 }), [])]).toEqual([
      null,
      null,
    ]);
    // One that is over when it is restored.
    expect(store.putOrder(stopOrder({ id: '00000000000000ee', untilMs: 4_000 }), [])).toBeNull();
    store.close();
    await backup(join(at, 'backup'), { state, ledgers: [ledger] });
    const later = mustOpen(state, { nowMs: () => 3_000 });
    later.putOrder(stopOrder({ id: '00000000000000cc' }), []);
    later.close();
    const to = folder();
    const restored = await restore(join(at, 'backup'), to);
    expect(restored).toMatchObject({ stops: 1, stopsUntilMs: 2_000 });
    const again = mustOpen(join(to, 'state.db'), { nowMs: () => 4_000 });
    expect(must(again.ordersInForce()).list).toContainEqual(stopOrder());
    const record = must(again.outbox(0, 100)).at(-1)?.bytes ?? new Uint8Array();
    expect(JSON.parse(Buffer.from(record).toString())).toMatchObject({ details: { stops: 1, stopsUntilMs: 2_000 } });
    again.close();
    expect(restoredOrdersText({ stops: 1, stopsUntilMs: 2_000 })).toBe(
      '1 stop of the backup is in force; what was stopped or lifted after 1970-01-01T00:00:02.000Z is not known: stop it again',
    );
  });

  it('restores the ledgers of several processes, each to its own path, and drops records that any of them has', async () => {
    const { at, state, ledger } = served();
    const other = settingsIn(join(at, 'second'));
    mkdirSync(join(at, 'second'));
    const store = mustOpen(state, { nowMs: () => 2_000 });
    const log = mustOpenLog(other);
    log.append([incoming(3, 3), incoming(4, 4)], must(store.fileId()));
    log.close();
    store.close();
    const to = folder();
    await backup(join(at, 'backup'), { state, ledgers: [ledger, join(at, 'none'), other.folder] });
    const places = ['ledger-until-19700101T000001Z', 'ledger-until-19700101T000001Z-2'].map((name) => join(to, name));
    expect(await restore(join(at, 'backup'), to)).toMatchObject({ ledgers: places });
    expect(places.map(contents)).toEqual([ledger, other.folder].map(contents));
    const restored = mustOpen(join(to, 'state.db'), { nowMs: () => 6_000 });
    expect(restored.outbox(0, 1)).toMatchObject([{ outbox: 5 }]);
    restored.close();
  });

  it('lets tasks that expired meanwhile end as expired', async () => {
    const { at, state } = served();
    const to = folder();
    await backup(join(at, 'backup'), { state });
    const late = { clocks: agreeing(() => 200_000), randomBytes, by: 'operator ada', onProgress: () => undefined };
    const places = {
      state: join(to, 'state.db'),
      ledger: join(to, 'ledger'),
      others: [],
      keys: new Map(),
      isStateOnly: false,
    };
    expect(await restoreBackup(join(at, 'backup'), places, late)).toMatchObject({ ended: 3 });
    const store = mustOpen(places.state, { nowMs: () => 200_000 });
    expect(store.taskOf(issuer, key(1).id)).toMatchObject({ state: 'expired', endedAtMs: 100_000 });
    store.close();
  });

  it('restores a copy of a state file alone, also of an earlier schema, with the ledger in place', async () => {
    const at = folder();
    const copy = join(at, 'copy.db');
    const db = new DatabaseSync(copy);
    db.exec(readFileSync(resolve(import.meta.dirname, 'state-schema-8.sql'), 'utf8'));
    db.close();
    const { ledger, at: to } = served();
    rmSync(join(to, 'state.db'));
    expect(await restore(copy, to, { ledger, isStateOnly: true })).toMatchObject({ ended: 5, ledgers: [] });
    expect(
      readdirSync(to)
        .filter((name) => name.startsWith('state.db'))
        .toSorted(),
    ).toEqual(['state.db', 'state.db.lock']);
    mustOpen(join(to, 'state.db')).close();
  });

  const harmed: readonly (readonly [name: string, harm: (backup: string) => void, problem: RegExp])[] = [
    [
      'without a manifest',
      (at) => rmSync(join(at, 'backup.json')),
      /has no `backup\.json`: it is not a backup, or the backup was interrupted$/,
    ],
    [
      'of a later build',
      (at) => rewritten(at, (text) => text.replace('"format": 1', '"format": 2')),
      /was made by a later build of Remit/,
    ],
    [
      'whose state file was changed',
      (at) => appendFileSync(join(at, 'state.db'), 'x'),
      /state\.db` has changed since the backup: its digest differs from the manifest$/,
    ],
    [
      'with a path outside its folder',
      (at) => rewritten(at, (text) => text.replace('"name": "state.db"', '"name": "../state.db"')),
      /whose member `files` entry \d+ member `name` must be a path within the backup$/,
    ],
    ['that lacks a file', (at) => rmSync(join(at, 'state.db')), /state\.db` cannot be read or written: ENOENT$/],
  ];
  it.each(harmed)('refuses a backup %s and changes nothing', async (_name, harm, problem) => {
    const { at, state, ledger } = served();
    await backup(join(at, 'backup'), { state, ledgers: [ledger] });
    harm(join(at, 'backup'));
    const to = folder();
    expect(await restore(join(at, 'backup'), to)).toEqual({ problem: expect.stringMatching(problem) });
    expect(readdirSync(to).filter((name) => !name.endsWith('.lock'))).toEqual([]);
  });

  it('refuses a state file with a trigger that would reopen tasks', async () => {
    const { at, state } = served();
    const copy = join(at, 'copy.db');
    copyFileSync(state, copy);
    const db = new DatabaseSync(copy);
    db.exec('CREATE TRIGGER again AFTER INSERT ON restored BEGIN DELETE FROM restored; END');
    db.close();
    const to = folder();
    expect(await restore(copy, to)).toEqual({
      problem: expect.stringMatching(/its schema is not that of a state file: trigger again/),
    });
    expect(existsSync(join(to, 'state.db'))).toBe(false);
  });

  it('refuses a path that exists or is in use', async () => {
    const { at, state, ledger } = served();
    await backup(join(at, 'backup'), { state, ledgers: [ledger] });
    const before = readFileSync(state);
    expect(await restore(join(at, 'backup'), at)).toEqual({
      problem: expect.stringMatching(/state\.db` already exists and is not overwritten/),
    });
    expect(readFileSync(state)).toEqual(before);
    const to = folder();
    expect(await restore(join(at, 'backup'), to, { ledger })).toEqual({
      problem: expect.stringMatching(/^a ledger is in `.*`: use --state-only to keep and continue it/),
    });
    const lock = lockState(join(to, 'state.db'));
    expect(await restore(join(at, 'backup'), to)).toEqual({
      problem: expect.stringMatching(/another process serves with the state file/),
    });
    if (!isStoreFailure(lock)) lock.release();
    expect(isProblem(await restore(join(at, 'backup'), to))).toBe(false);
  });

  it('changes nothing if the ends of tasks could not be merged into the state file, which another process has open', async () => {
    const { at, state } = served();
    const [to, from] = [folder(), join(at, 'backup')];
    must(await backup(from, { state }));
    const fresh = join(to, 'state.db.restoring');
    let reader: DatabaseSync | null = null;
    const clocks = agreeing(() => {
      if (reader === null && existsSync(fresh)) {
        reader = new DatabaseSync(fresh, { readOnly: true });
        reader.prepare('SELECT count(*) FROM tasks').get();
      }
      return 5_000;
    });
    expect(await restore(from, to, {}, clocks)).toEqual({ problem: expect.stringContaining('run it again') });
    (reader as DatabaseSync | null)?.close();
    expect(readdirSync(to)).toEqual(['state.db.lock']);
    must(await restore(from, to));
  });

  it('can be run again after a restore was killed', async () => {
    const { at, state, ledger } = served();
    await backup(join(at, 'backup'), { state, ledgers: [ledger] });
    const to = folder();
    writeFileSync(join(to, 'state.db.restoring'), 'half');
    mkdirSync(join(to, 'ledger-until-19700101T000001Z.restoring'));
    expect(isProblem(await restore(join(at, 'backup'), to))).toBe(false);
    expect(readdirSync(to).filter((name) => name.includes('restoring'))).toEqual([]);
  });

  it('refuses a state file in use as a backup', async () => {
    const { state } = served();
    const store = mustOpen(state);
    store.insertTask(taskNumber(9), tokenNumber(9), []);
    expect(await restore(state, folder())).toEqual({
      problem: expect.stringMatching(/is a state file in use, or was not closed cleanly: copy it with `remit backup`/),
    });
    store.close();
  });
});

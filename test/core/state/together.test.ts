import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { openStoreForReading } from '../../../src/authority/state/sqlite/open-store.ts';
import { isStoreFailure } from '../../../src/core/runtime/store-failure.ts';
import type { Store } from '../../../src/core/state/store.ts';
import type { StoreReader } from '../../../src/core/state/store-reader.ts';
import { causeOf } from '../../../src/core/task/cause.ts';
import { endRecord } from '../../builders/ledger-record.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { agreeing, mustOpen } from '../../builders/state-file.ts';
import { issuer, taskNumber, tokenNumber } from '../../builders/task.ts';
import { must } from '../../builders/must.ts';

const folder = testFolders();

const key = taskNumber(1);
const single = [{ kind: 'single-use' }] as const;
const end = (store: Store, n = 1) =>
  store.applyTaskEvent(taskNumber(n), { kind: 'complete', cause: causeOf('operator.completed', '') }, 'operator');

function readerOf(file: string): StoreReader {
  return must(openStoreForReading(file, agreeing()));
}

function stateOf(store: StoreReader, n = 1): unknown {
  const state = store.useStateOf(issuer, taskNumber(n).id, `digest-${n}`);
  if (state === undefined || isStoreFailure(state)) return state;
  return [state.task.state, state.history.actions];
}

const spend = (store: Store, action: string, version = 0) =>
  store.spend(key, 'digest-1', single, { version, action, labels: [] });

const opened = (options: Parameters<typeof mustOpen>[1] = {}) => {
  const file = join(folder(), 'state.db');
  const store = mustOpen(file, options);
  store.insertTask(key, tokenNumber(1), []);
  return { file, store };
};

describe('Store.together', () => {
  it('shows its writes to this store at once, and to others once all are committed', () => {
    const { file, store } = opened();
    const reader = readerOf(file);
    const seen: unknown[] = [];
    const failure = store.inOneCommit(() => {
      seen.push(spend(store, 'a.read'), stateOf(store), spend(store, 'a.read', 1));
      store.insertTask(taskNumber(2), tokenNumber(2), []);
      seen.push(stateOf(reader), stateOf(reader, 2));
    });
    expect(failure).toBeNull();
    expect(seen).toEqual([null, ['active', ['a.read']], 'replayed', ['active', []], undefined]);
    expect([stateOf(reader), stateOf(reader, 2)]).toEqual([
      ['active', ['a.read']],
      ['active', []],
    ]);
    reader.close();
    store.close();
  });

  it('rolls everything back if one write fails, and fails the later writes in the same way', () => {
    const records: number[] = [];
    const { file, store } = opened({ onRecords: (batch) => void records.push(batch.length) });
    const answers: unknown[] = [];
    const failure = store.inOneCommit(() => {
      answers.push(spend(store, 'a.read'), store.appendRecords([endRecord(1)]), stateOf(store));
      answers.push(store.insertTask(key, tokenNumber(1), []), spend(store, 'a.write'));
    });
    const conflict = { kind: 'store-failure', code: 'conflict', detail: 'a row with that key exists' };
    expect(failure).toEqual(conflict);
    expect(answers).toEqual([null, null, ['active', ['a.read']], conflict, conflict]);
    expect(stateOf(store)).toEqual(['active', []]);
    expect(store.outbox(0, 10)).toEqual([]);
    expect(records).toEqual([]);
    expect(spend(store, 'a.write')).toBeNull();
    expect(stateOf(readerOf(file))).toEqual(['active', ['a.write']]);
    store.close();
  });

  it('rolls back if `work` throws, and rethrows', () => {
    const { store } = opened();
    const work = () => {
      spend(store, 'a.read');
      throw new Error('a fault');
    };
    expect(() => store.inOneCommit(work)).toThrow('a fault');
    expect(stateOf(store)).toEqual(['active', []]);
    expect(spend(store, 'a.read')).toBeNull();
    store.close();
  });

  it('begins no transaction if nothing is written, so that others can write', () => {
    const { file, store } = opened();
    const another = mustOpen(file);
    const failure = store.inOneCommit(() => {
      stateOf(store);
      end(another);
    });
    expect(failure).toBeNull();
    expect(stateOf(store)).toEqual(['completed', []]);
    another.close();
    store.close();
  });

  it('fails as busy if another process holds the write lock', () => {
    const { file, store } = opened();
    const another = mustOpen(file);
    const answers: unknown[] = [];
    another.inOneCommit(() => {
      end(another);
      answers.push(store.inOneCommit(() => void answers.push(spend(store, 'a.read'))));
    });
    expect(answers).toMatchObject([{ code: 'busy' }, { code: 'busy' }]);
    expect(stateOf(store)).toEqual(['completed', []]);
    expect(spend(store, 'a.read')).toBe('ended');
    another.close();
    store.close();
  });

  it('sees an end by another process since the last look, even within the same turn', () => {
    const { file, store } = opened();
    const another = mustOpen(file);
    store.turn();
    expect(stateOf(store)).toEqual(['active', []]);
    end(another);
    expect(store.inOneCommit(() => expect(spend(store, 'a.read')).toBe('ended'))).toBeNull();
    store.turnOver();
    another.close();
    store.close();
  });

  it('reports the records of all writes once, when they are on disk', () => {
    const told: unknown[] = [];
    const { store } = opened({ onRecords: (batch) => void told.push(batch.length) });
    store.inOneCommit(() => {
      store.appendRecords([endRecord(1)]);
      spend(store, 'a.read');
      store.appendRecords([endRecord(2), endRecord(3)]);
      told.push('written');
    });
    store.inOneCommit(() => void spend(store, 'a.write', 1));
    expect(told).toEqual(['written', 3]);
    store.close();
  });
});

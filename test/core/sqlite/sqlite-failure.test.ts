import { describe, expect, it } from '@jest/globals';
import { failureOfSqlite } from '../../../src/core/sqlite/sqlite-failure.ts';
import type { StoreFailure } from '../../../src/core/runtime/store-failure.ts';

const sqliteError = (errcode: number) => Object.assign(new Error('words'), { code: 'ERR_SQLITE_ERROR', errcode });

describe('failureOfSqlite', () => {
  it.each<[string, number, StoreFailure['code']]>([
    ['SQLITE_FULL', 13, 'full'],
    ['SQLITE_BUSY', 5, 'busy'],
    ['SQLITE_BUSY_SNAPSHOT', 517, 'busy'],
    ['SQLITE_CONSTRAINT_PRIMARYKEY', 1555, 'conflict'],
    ['SQLITE_TOOBIG', 18, 'refused'],
    ['SQLITE_IOERR', 10, 'broken'],
    ['SQLITE_IOERR_FSYNC', 1034, 'broken'],
    ['SQLITE_IOERR_WRITE', 778, 'broken'],
    ['SQLITE_CORRUPT', 11, 'broken'],
    ['SQLITE_NOTADB', 26, 'broken'],
    ['SQLITE_READONLY_DBMOVED', 1032, 'broken'],
    ['SQLITE_NOMEM', 7, 'broken'],
    ['SQLITE_ERROR', 1, 'broken'],
  ])('takes %s (%d) as `%s`', (_name, errcode, code) => {
    expect(failureOfSqlite(sqliteError(errcode))?.code).toBe(code);
  });

  it('names the code of what is fatal', () => {
    expect(failureOfSqlite(sqliteError(1034))?.detail).toBe('SQLite failed with code 1034: words');
  });

  it.each([[new TypeError('a bug')], [null], ['text'], [{ errcode: '13' }]])(
    'leaves %p, which is not SQLite’s',
    (error) => {
      expect(failureOfSqlite(error)).toBeNull();
    },
  );
});

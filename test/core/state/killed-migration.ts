import type { DatabaseSync } from 'node:sqlite';
import { migrateFile } from '../../../src/authority/state/sqlite/migration.ts';
import { stateFormat } from '../../../src/authority/state/sqlite/schema.ts';

/**
 * `killed-migration.ts FILE`: migrates a state file, plus one further step, and is killed in the middle of that step, after it has written
 * more than SQLite keeps in memory.
 */

const kill = (db: DatabaseSync): void => {
  db.exec('PRAGMA cache_size = 10; CREATE TABLE half (bytes BLOB)');
  db.exec(
    'INSERT INTO half SELECT zeroblob(4096) FROM (SELECT 1 FROM sqlite_schema AS a, sqlite_schema AS b LIMIT 1000)',
  );
  process.kill(process.pid, 'SIGKILL');
};

const { version, steps = [] } = stateFormat;
migrateFile(
  process.argv[2] ?? '',
  { ...stateFormat, version: version + 1, steps: [...steps, { from: version, run: kill }] },
  { keepsCopy: true },
);

import type { DatabaseSync } from 'node:sqlite';

/** The first column of the first row; `undefined` if there is no row. */
export const scalar = (db: DatabaseSync, sql: string): unknown => Object.values(db.prepare(sql).get() ?? {})[0];

import { DatabaseSync } from 'node:sqlite';
import { canonicalJson } from '../../../src/core/ledger/canonical-json.ts';

/** Reads a state file beside the store that has it open. */
const reading = <T>(file: string, use: (db: DatabaseSync) => T): T => {
  const db = new DatabaseSync(file, { readOnly: true });
  try {
    return use(db);
  } finally {
    db.close();
  }
};

/** The value of the call counter of a task. */
export const spentIn = (file: string, taskId: string): number =>
  reading(file, (db) =>
    Number(
      db.prepare("SELECT spent FROM budgets WHERE task = ? AND name NOT LIKE 'lent %'").get(taskId)?.['spent'] ?? 0,
    ),
  );

/** How many decisions are remembered as settled. */
export const settledIn = (file: string): number =>
  reading(file, (db) => Number(db.prepare('SELECT count(*) AS n FROM settled').get()?.['n']));

/** The records that wait for the ledger, in order. */
export const outboxOf = (file: string): readonly Readonly<Record<string, unknown>>[] =>
  reading(file, (db) =>
    db
      .prepare('SELECT bytes FROM outbox ORDER BY seq')
      .all()
      .map(({ bytes }) => JSON.parse(Buffer.from(bytes as Uint8Array).toString('utf8'))),
  );

/** What is wrong with the records of a file: a gap, or bytes that are not canonical JSON. */
export const ledgerProblem = (file: string): string | null =>
  reading(file, (db) => {
    const rows = db.prepare('SELECT seq, bytes FROM outbox ORDER BY seq').all();
    for (const [index, row] of rows.entries()) {
      if (row['seq'] !== index + 1) return `record ${index + 1} has seq ${String(row['seq'])}`;
      const text = Buffer.from(row['bytes'] as Uint8Array).toString('utf8');
      if (canonicalJson(JSON.parse(text)) !== text) return `record ${index + 1} is not canonical JSON`;
    }
    return null;
  });

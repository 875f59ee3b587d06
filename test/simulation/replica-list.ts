import type { Rows } from './database-node.ts';
import type { Transaction } from './database.ts';

/** What an authority writes about itself with each beat. */
export interface ReplicaRow {
  readonly beat: number;
  /** Up to here, all holders of its streams have acknowledged the feed, or are fenced. */
  readonly enforced: number;
}

const idsIn = (rows: Rows): readonly string[] => (rows.get('replicas') as readonly string[] | undefined) ?? [];

/** The rows of all authorities but one. */
export const replicasIn = (rows: Rows, except: string): ReadonlyMap<string, ReplicaRow> =>
  new Map(
    idsIn(rows)
      .filter((id) => id !== except)
      .map((id) => [id, rows.get(`replica:${id}`) as ReplicaRow]),
  );

/** Writes the row of an authority. Its first one puts it on the list; no lease is renewed by that one. */
export const listing = (id: string, row: ReplicaRow, isListed: boolean): Transaction<null> => ({
  locks: [`replica:${id}`, ...(isListed ? [] : ['replicas'])],
  run: (rows) => ({
    result: null,
    writes: [
      [`replica:${id}`, row],
      ...(idsIn(rows).includes(id) ? [] : [['replicas', [...idsIn(rows), id]] as const]),
    ],
    changes: [],
  }),
});

/** Takes an authority off the list. */
export const leaving = (id: string): Transaction<null> => ({
  locks: ['replicas'],
  run: (rows) => ({ result: null, writes: [['replicas', idsIn(rows).filter((one) => one !== id)]], changes: [] }),
});

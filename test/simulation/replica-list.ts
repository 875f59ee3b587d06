import type { ReplicaMark } from '../../src/authority/replica-board.ts';
import type { Rows } from './database-node.ts';
import type { Transaction } from './database.ts';

const idsIn = (rows: Rows): readonly string[] => (rows.get('replicas') as readonly string[] | undefined) ?? [];

/** The marks of all authorities. */
export const marksIn = (rows: Rows): readonly ReplicaMark[] =>
  idsIn(rows).map((id) => rows.get(`replica:${id}`) as ReplicaMark);

/** Writes the mark of an authority. Its first one puts it on the list; no lease is renewed by that one. */
export const listing = (mark: ReplicaMark, isListed: boolean): Transaction<null> => ({
  locks: [`replica:${mark.id}`, ...(isListed ? [] : ['replicas'])],
  run: (rows) => ({
    result: null,
    writes: [
      [`replica:${mark.id}`, mark],
      ...(idsIn(rows).includes(mark.id) ? [] : [['replicas', [...idsIn(rows), mark.id]] as const]),
    ],
    changes: [],
  }),
});

/** Takes an authority off the list. */
export const leaving = (id: string): Transaction<null> => ({
  locks: ['replicas'],
  run: (rows) => ({ result: null, writes: [['replicas', idsIn(rows).filter((one) => one !== id)]], changes: [] }),
});

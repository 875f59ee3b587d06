import type { ReplicaMark } from '../../src/authority/feed/hub/replica-board.ts';
import type { Rows } from './database-node.ts';
import type { Transaction } from './database.ts';

const idsIn = (rows: Rows): readonly string[] => (rows.get('replicas') as readonly string[] | undefined) ?? [];

/** The marks of all authorities. */
export const marksIn = (rows: Rows): readonly ReplicaMark[] =>
  idsIn(rows).map((id) => rows.get(`replica:${id}`) as ReplicaMark);

/** The mark of an authority; `undefined` before its first one. */
export const markOf = (rows: Rows, id: string): ReplicaMark | undefined =>
  rows.get(`replica:${id}`) as ReplicaMark | undefined;

/** The number of the next mark: the database counts, so that one which arrives late takes none back. */
export const nextBeat = (rows: Rows, id: string): number => (markOf(rows, id)?.beat ?? 0) + 1;

/** Writes the mark of an authority. Its first one puts it on the list; no lease is renewed by that one. */
export const listing = (mark: Omit<ReplicaMark, 'beat'>, isListed: boolean): Transaction<null> => ({
  locks: [`replica:${mark.id}`, ...(isListed ? [] : ['replicas'])],
  run: (rows) => ({
    result: null,
    writes: [
      [`replica:${mark.id}`, { ...mark, beat: nextBeat(rows, mark.id) }],
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

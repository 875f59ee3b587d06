import { lostToAll } from '../../src/core/ledger/relayed.ts';
import { epochOf } from './database-node.ts';
import type { Rows } from './database-node.ts';
import { textOf } from './disk.ts';
import type { Disk } from './disk.ts';
import { recordsEnd, waitingAfter } from './outbox-rows.ts';
import type { World } from './world.ts';

const rowsOf = ({ database }: World): Rows => database.primary?.rows ?? new Map();
const disksOf = (world: World): readonly Disk[] => world.authorities.map(({ name }) => world.diskOf(name));

/** Whether the ledger of each authority has all records of the database, or says which it will never have. */
export function areLedgersWhole(world: World): boolean {
  const rows = rowsOf(world);
  return disksOf(world).every((disk) => disk.taken(epochOf(rows)) === recordsEnd(rows));
}

/** What auditors find after all faults, when all is well again. Says what breaks the promise. */
export function auditLedgers(world: World): void {
  const { promise } = world;
  if (!areLedgersWhole(world)) promise.broken('a ledger does not get the last records although all is well again');
  const disks = disksOf(world);
  const rows = rowsOf(world);
  const waiting = waitingAfter(rows, 0);
  // With one copy, a lost disk takes records with it.
  if (world.copies > 1 || !world.isDiskLost)
    promise.recordsKept(new Set([...disks.flatMap((disk) => disk.texts()), ...waiting.map(textOf)]));
  for (const seq of untold(disks, {
    epoch: epochOf(rows),
    end: recordsEnd(rows),
    waiting: waiting.map(({ outbox }) => outbox),
  }))
    promise.broken(`no ledger has record ${seq}, and none says so`);
  if (!world.isPutBack)
    for (const seq of disputed(disks, epochOf(rows))) promise.broken(`ledgers differ in record ${seq}`);
}

/** The records that no ledger has, although one of them has earlier ones and has gone on, and of which `verify` says nothing. */
function untold(
  disks: readonly Disk[],
  { epoch, end, waiting }: { readonly epoch: string; readonly end: number; readonly waiting: readonly number[] },
): readonly number[] {
  const all = disks.map((disk) => disk.of(epoch));
  const lost = lostToAll(disks.map((disk) => disk.relayed(epoch)));
  return Array.from({ length: end }, (_, at) => at + 1).filter((seq) => {
    const isKept = waiting.includes(seq) || all.some((records) => (records.get(seq)?.kind ?? 'event') !== 'event');
    const isTold = lost.some(({ records: { from, to } }) => from <= seq && seq <= to);
    return (
      !isKept &&
      !isTold &&
      all.some((records) => Math.min(...records.keys()) < seq && Math.max(...records.keys()) >= seq)
    );
  });
}

/** The numbers under which two ledgers have different records: one of them is of a commit that was lost. */
function disputed(disks: readonly Disk[], epoch: string): readonly number[] {
  const texts = new Map<number, string>();
  const found = new Set<number>();
  for (const [seq, record] of disks.flatMap((disk) => [...disk.of(epoch)])) {
    if (record.kind === 'event') continue;
    const text = textOf(record);
    if ((texts.get(seq) ?? text) !== text) found.add(seq);
    texts.set(seq, text);
  }
  return [...found];
}

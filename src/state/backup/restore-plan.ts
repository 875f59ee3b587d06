import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { isProblem } from '../../runtime/problem.ts';
import type { Problem } from '../../runtime/problem.ts';
import { manifestIn } from './manifest.ts';
import type { Manifest } from './manifest.ts';

/** Where a backup is put back. */
export interface RestorePlaces {
  readonly state: string;
  /** The folder that the ledger of this place is to be in: a new one is begun there, unless it is there. */
  readonly ledger: string;
  /** Ledgers that are in their places and belong to the state file, where `isStateOnly`. */
  readonly others: readonly string[];
  /** Places of keys by what they are of; those that a backup has and that are not named stay where they are. */
  readonly keys: ReadonlyMap<string, string>;
  /** Puts back the state file alone, beside ledgers that are in their places. */
  readonly isStateOnly: boolean;
}

/** A place, and where what goes there is until all of the restore is whole. */
export interface Move {
  readonly fresh: string;
  readonly place: string;
}

/** A folder with a manifest, or a state file, whose digest nobody knows. */
export interface Backup {
  readonly folder: string;
  readonly manifest: Omit<Manifest, 'format' | 'madeAtMs' | 'remit'> & Partial<Pick<Manifest, 'madeAtMs' | 'remit'>>;
}

/** Reads what there is to be put back; a problem, as a clause, where it cannot be. */
export function backupAt(from: string): Backup | Problem {
  const stats = statSync(from, { throwIfNoEntry: false });
  if (stats === undefined) return { problem: 'is not there' };
  if (stats.isDirectory()) {
    const manifest = manifestIn(from);
    return isProblem(manifest) ? manifest : { folder: from, manifest };
  }
  if (existsSync(`${from}-wal`))
    return { problem: 'is a state file in use, or one that was not closed: `remit backup` makes a copy of it' };
  return { folder: dirname(from), manifest: { state: basename(from), ledgers: [], keys: [], files: [] } };
}

/** What goes where. */
export interface Moves {
  readonly state: Move;
  /** In the order of the manifest, as keys; none where the state file alone is put back. */
  readonly ledgers: readonly (Move & { readonly folder: string })[];
  readonly keys: readonly (Move & { readonly folder: string })[];
  readonly all: readonly Move[];
}

const moveTo = (place: string): Move => ({ place, fresh: `${place}.restoring` });

/** Where everything of a backup goes. */
export function movesOf({ manifest }: Backup, { state, ledger, keys, isStateOnly }: RestorePlaces): Moves {
  const until = new Date(manifest.madeAtMs ?? 0).toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const ledgers = (isStateOnly ? [] : manifest.ledgers).map(({ folder }, index) =>
    Object.assign(moveTo(`${ledger}-until-${until}${index === 0 ? '' : `-${index + 1}`}`), { folder }),
  );
  const keyed = (isStateOnly ? [] : manifest.keys).flatMap(({ of, place }) => {
    const to = keys.get(of);
    return to === undefined ? [] : [{ folder: place, ...moveTo(to) }];
  });
  const own = moveTo(state);
  // The state file last.
  return { state: own, ledgers, keys: keyed, all: [...ledgers, ...keyed, own] };
}

/** What is in the way, with the way out; `null` where nothing is. */
export function takenProblem({ all }: Moves, { state, ledger, isStateOnly }: RestorePlaces): string | null {
  const there = [...all.map(({ place }) => place), `${state}-wal`].find((place) => existsSync(place));
  if (there !== undefined) return `\`${there}\` is there already, and nothing is written over: move it away first`;
  if (isStateOnly || !existsSync(ledger) || readdirSync(ledger).length === 0) return null;
  return `a ledger is in \`${ledger}\`: with --state-only it stays and is gone on with; else move it away first`;
}

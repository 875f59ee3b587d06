import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import { manifestIn } from './manifest.ts';
import type { Manifest } from './manifest.ts';

/** Paths to restore to. */
export interface RestorePlaces {
  readonly state: string;
  /** The folder for the ledger. A new ledger begins there, unless a ledger exists. */
  readonly ledger: string;
  /** With `isStateOnly`: the existing ledgers that belong to the state file. */
  readonly others: readonly string[];
  /** Paths by configuration key. Backed-up keys without a path here stay where they are. */
  readonly keys: ReadonlyMap<string, string>;
  /** Restores only the state file; the ledgers stay in place. */
  readonly isStateOnly: boolean;
}

/** A final path, and the temporary path used until the whole restore is complete. */
export interface Move {
  readonly fresh: string;
  readonly place: string;
}

/** A folder with a manifest, or a state file alone, whose digest is unknown. */
export interface Backup {
  readonly folder: string;
  readonly manifest: Omit<Manifest, 'format' | 'madeAtMs' | 'remit'> & Partial<Pick<Manifest, 'madeAtMs' | 'remit'>>;
}

/** Reads the backup to restore. A problem, as a clause, if it cannot be restored. */
export function backupAt(from: string): Backup | Problem {
  const stats = statSync(from, { throwIfNoEntry: false });
  if (stats === undefined) return { problem: 'does not exist' };
  if (stats.isDirectory()) {
    const manifest = manifestIn(from);
    return isProblem(manifest) ? manifest : { folder: from, manifest };
  }
  if (existsSync(`${from}-wal`))
    return { problem: 'is a state file in use, or was not closed cleanly: copy it with `remit backup`' };
  return { folder: dirname(from), manifest: { state: basename(from), ledgers: [], keys: [], files: [] } };
}

/** All moves of a restore. */
export interface Moves {
  readonly state: Move;
  /** In the order of the manifest. Empty if only the state file is restored. */
  readonly ledgers: readonly (Move & { readonly folder: string })[];
  readonly keys: readonly (Move & { readonly folder: string })[];
  readonly all: readonly Move[];
}

const moveTo = (place: string): Move => ({ place, fresh: `${place}.restoring` });

/** Plans the moves of a restore. */
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
  // The state file is moved last.
  return { state: own, ledgers, keys: keyed, all: [...ledgers, ...keyed, own] };
}

/** A path that already exists, with the way out; `null` if none does. */
export function takenProblem({ all }: Moves, { state, ledger, isStateOnly }: RestorePlaces): string | null {
  const there = [...all.map(({ place }) => place), `${state}-wal`].find((place) => existsSync(place));
  if (there !== undefined) return `\`${there}\` already exists and is not overwritten: move it away first`;
  if (isStateOnly || !existsSync(ledger) || readdirSync(ledger).length === 0) return null;
  return `a ledger is in \`${ledger}\`: use --state-only to keep and continue it, or move it away first`;
}

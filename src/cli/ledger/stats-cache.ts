/** What statistics counted up to a checkpoint, kept for the next run in the cache folder of the user. */
import { hash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { base64Of } from '../../core/ledger/proof/base64.ts';
import type { CompactRange } from '../../core/ledger/proof/compact-range.ts';
import { rootOf } from '../../core/ledger/proof/merkle.ts';
import type { LogReader } from '../../core/ledger/log/log-reader.ts';
import { statsStateFrom } from '../../core/ledger/search/record-stats.ts';
import type { StatsOf, StatsState } from '../../core/ledger/search/record-stats.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { replacePrivateFile } from '../../core/runtime/system/private-write.ts';

/** The records that a checkpoint covers, from the first that is kept. */
export interface CheckedHead {
  readonly origin: string;
  /** Number of records before the first that is kept. */
  readonly before: number;
  readonly size: number;
  /** Root of the tree over `size` records, in base64. */
  readonly root: string;
}

/** A checkpoint of a ledger, as the ledger has it. */
export interface CountedHead {
  readonly head: CheckedHead;
  /** The tree over its records. */
  readonly range: CompactRange;
}

/** The last checkpoint of a ledger, or its checkpoint of a size; `null` if there is none. */
export function logHeadOf(log: LogReader, size: number = Number.MAX_SAFE_INTEGER): CountedHead | null {
  const last = log.segments.map(({ checkpoints }) => checkpoints.near(size, 'up-to')).findLast((each) => each !== null);
  if (last === undefined || last === null || (size !== Number.MAX_SAFE_INTEGER && last.range.size !== size))
    return null;
  const { range } = last;
  const root = base64Of(rootOf(range.nodes));
  return { head: { origin: log.origin, before: log.carried.range.size, size: range.size, root }, range };
}

/** Statistics up to a checkpoint. */
export interface CachedStats {
  readonly head: CheckedHead;
  readonly state: StatsState;
}

/** Most files in the folder; the oldest are deleted. */
const MAX_FILES = 64;
/** Largest file that is read. */
const MAX_BYTES = 64 * 1024 ** 2;
const NAME = /^stats-[0-9a-f]{64}\.json$/;

/**
 * Keeps statistics by what was asked. A file is used only if the ledger has the checkpoint that it was counted up to, with the same tree. INVARIANT: what
 * is kept was counted from records with exactly that tree, so that a changed copy of a ledger leaves nothing behind for the ledger itself.
 */
export class StatsCache {
  readonly #folder: string;
  readonly #path: string;

  /** @param asked all that the statistics depend on, as JSON */
  constructor(folder: string, asked: string) {
    this.#folder = folder;
    this.#path = join(folder, `stats-${hash('sha256', asked)}.json`);
  }

  /** What was counted of a ledger; `null` if nothing was, or if the ledger no longer has the checkpoint it was counted up to. */
  read(log: LogReader, of: StatsOf): (CachedStats & CountedHead) | null {
    const kept = this.kept();
    if (typeof kept !== 'object' || kept === null || !('head' in kept) || !('state' in kept)) return null;
    const size: unknown =
      typeof kept.head === 'object' && kept.head !== null && 'size' in kept.head ? kept.head.size : 0;
    const own = typeof size === 'number' ? logHeadOf(log, size) : null;
    if (own === null || JSON.stringify(own.head) !== JSON.stringify(kept.head)) return null;
    const state = statsStateFrom(kept.state, of);
    return state === null ? null : { ...own, state };
  }

  /** The content of the file, parsed from JSON and not validated; `null` if it is missing, larger than 64 MiB or not JSON. */
  kept(): unknown {
    try {
      if (statSync(this.#path).size > MAX_BYTES) return null;
      return JSON.parse(readFileSync(this.#path, 'utf8'));
    } catch {
      return null;
    }
  }

  /** Writes what was counted, as JSON, and prunes the folder. Returns what went wrong in words, or `null`. */
  write(stats: object): string | null {
    try {
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
      const suffix = Buffer.from(systemPorts.randomBytes(4)).toString('hex');
      replacePrivateFile(this.#path, JSON.stringify(stats), suffix);
      this.#prune();
      return null;
    } catch (error) {
      return `\`${this.#path}\` cannot be written: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  #prune(): void {
    const files = readdirSync(this.#folder)
      .filter((name) => NAME.test(name))
      .map((name) => ({ path: join(this.#folder, name), atMs: statSync(join(this.#folder, name)).mtimeMs }))
      .toSorted((a, b) => b.atMs - a.atMs);
    for (const { path } of files.slice(MAX_FILES)) rmSync(path, { force: true });
  }
}

/** The cache folder of the user; `null` if the environment names none. */
export function cacheFolderIn(environment: Readonly<Record<string, string | undefined>>): string | null {
  const { XDG_CACHE_HOME: cache, HOME: home } = environment;
  if (cache !== undefined && cache.startsWith('/')) return join(cache, 'remit');
  return home !== undefined && home.startsWith('/') ? join(home, '.cache', 'remit') : null;
}

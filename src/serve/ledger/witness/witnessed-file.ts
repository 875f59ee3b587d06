import {
  closeSync,
  fsyncSync,
  openSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { appendNote, lastNotesIn } from '../../../core/ledger/log/checkpoint-file.ts';
import { systemPorts } from '../../../core/runtime/ports.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import { failureCode } from '../../../core/runtime/system/http-exchange.ts';
import { synced } from '../../../core/runtime/system/synced.ts';
import { neededNotes } from './needed-notes.ts';

/** The file is pruned once it has this many bytes, and again each time it has twice as many as after the last pruning. */
const FIRST_BYTES = 1024 ** 2;
/** Bytes of the notes that are kept at most, so that the file has at most twice as many. */
const MAX_BYTES = 4 * 1024 ** 2;
/** Bytes that are read from the end of a file that was made before it was bounded. */
const MAX_READ_BYTES = 64 * 1024 ** 2;

/** Bounds of the file, in bytes. */
export interface WitnessedBounds {
  /** Default 1 MiB. */
  readonly firstBytes?: number;
  /** Default 4 MiB. */
  readonly maxBytes?: number;
}

/**
 * The file of the checkpoints that witnesses have cosigned, bounded by what a verification of the ledger needs of it
 * (`neededNotes`). It is replaced atomically: a reader, or a process that starts after a crash, sees the old notes or the new.
 */
export class WitnessedFile {
  readonly #path: string;
  readonly #pruned: () => number | Problem;
  readonly #firstBytes: number;
  readonly #maxBytes: number;
  #nextBytes: number;

  /** @param pruned how many records of the ledger are pruned now */
  constructor(
    path: string,
    pruned: () => number | Problem,
    { firstBytes = FIRST_BYTES, maxBytes = MAX_BYTES }: WitnessedBounds = {},
  ) {
    this.#path = path;
    this.#pruned = pruned;
    this.#firstBytes = firstBytes;
    this.#maxBytes = maxBytes;
    this.#nextBytes = firstBytes;
  }

  /**
   * Appends a note, synced before it returns. Throws the system's error.
   * @returns why the file cannot be bounded now, so that it grows; `null` if it can
   */
  keep(note: string): string | null {
    appendNote(this.#path, note);
    try {
      return this.#bound(note.slice(0, note.indexOf('\n')));
    } catch (error) {
      return `it cannot be written anew: ${failureCode(error)}`;
    }
  }

  #bound(origin: string): string | null {
    const stats = statSync(this.#path);
    if (stats.size < this.#nextBytes || !stats.isFile()) return null;
    // After a failure too it is looked at only once it has grown.
    this.#nextBytes = stats.size + this.#firstBytes;
    const pruned = this.#pruned();
    if (isProblem(pruned)) return `what it needs is not known: ${pruned.problem}`;
    const notes = lastNotesIn(this.#path, MAX_READ_BYTES);
    const whole = stats.size > MAX_READ_BYTES ? notes.slice(1) : notes;
    const needed = neededNotes(whole, { origin, pruned, maxBytes: this.#maxBytes });
    if (!replaceNotes(this.#path, { notes: needed, size: stats.size }))
      return 'another process writes it: each needs a file of its own';
    this.#nextBytes = Math.max(this.#firstBytes, 2 * statSync(this.#path).size);
    return null;
  }
}

/**
 * Replaces the notes of a file, with its mode, at the place where a link leads.
 *
 * @param of.size of the file before it was read
 * @returns `false` if it has another size by now, since another process wrote it: it is left as it is
 */
function replaceNotes(
  path: string,
  { notes, size }: { readonly notes: readonly string[]; readonly size: number },
): boolean {
  const real = realpathSync(path);
  removeAbandoned(real);
  const fresh = `${real}.${Buffer.from(systemPorts.randomBytes(4)).toString('hex')}.new`;
  const file = openSync(fresh, 'wx', statSync(real).mode & 0o777);
  try {
    writeFileSync(file, notes.map((note) => `${note}\n`).join(''));
    fsyncSync(file);
    if (statSync(real).size !== size) return false;
    renameSync(fresh, real);
  } finally {
    closeSync(file);
    rmSync(fresh, { force: true });
  }
  synced(dirname(real));
  return true;
}

/** Longer than any process takes to write the new file. */
const ABANDONED_MS = 3_600_000;

/** Removes temporary files of processes that were killed while they wrote. */
function removeAbandoned(real: string): void {
  const [folder, stem] = [dirname(real), `${basename(real)}.`];
  for (const name of readdirSync(folder)) {
    if (!name.startsWith(stem) || !/^[0-9a-f]{8}\.new$/.test(name.slice(stem.length))) continue;
    const stats = statSync(join(folder, name), { throwIfNoEntry: false });
    if (stats !== undefined && stats.mtimeMs < systemPorts.nowMs() - ABANDONED_MS)
      rmSync(join(folder, name), { force: true });
  }
}

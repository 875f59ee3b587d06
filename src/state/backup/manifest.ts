import { createHash } from 'node:crypto';
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isProblem } from '../../runtime/problem.ts';
import { integer, listOf, membersFrom, text } from '../../runtime/fields.ts';
import type { Problem } from '../../runtime/problem.ts';
import type { Reader } from '../../runtime/fields.ts';
import { writePrivateFile } from '../../runtime/private-write.ts';
import { synced } from '../../runtime/synced.ts';

/** The form of the folder that a backup is. */
const FORMAT = 1;
const NAME = 'backup.json';
const MAX_BYTES = 64 * 1024 ** 2;
const MAX_FILES = 1_000_000;
/** The end of the year 9999. */
const MAX_MS = 253_402_300_799_999;

/** A file of a backup. */
export interface BackedUpFile {
  /** Its path within the folder of the backup. */
  readonly name: string;
  readonly bytes: number;
  /** In base64url. */
  readonly sha256: string;
}

/** A ledger in a backup. */
export interface BackedUpLedger {
  /** Its folder within that of the backup. */
  readonly folder: string;
  /** Where it was. */
  readonly from: string;
  readonly origin: string;
  /** Records, those included that were given up. */
  readonly size: number;
}

/** What a backup is made of. It is written last: a folder without one is no backup. */
export interface Manifest {
  readonly format: number;
  /** The version of Remit that made it. */
  readonly remit: string;
  /** Milliseconds since the Unix epoch, when the copy of the state file was begun. */
  readonly madeAtMs: number;
  /** The state file within the folder. */
  readonly state: string;
  readonly ledgers: readonly BackedUpLedger[];
  /** Keys by what they are of, such as `ledger.key`, each with its place within the folder; none where they were not asked for. */
  readonly keys: readonly { readonly of: string; readonly place: string }[];
  readonly files: readonly BackedUpFile[];
}

/** Says what is in a backup, on disk when this resolves. Throws the system's error. */
export async function writeManifest(
  folder: string,
  names: readonly string[],
  rest: Omit<Manifest, 'format' | 'files'>,
): Promise<Manifest> {
  const files: BackedUpFile[] = [];
  for (const name of names) {
    const path = join(folder, name);
    files.push({ name, bytes: statSync(path).size, sha256: await fileSha256(path) });
  }
  const manifest = { format: FORMAT, ...rest, files };
  writePrivateFile(join(folder, NAME), `${JSON.stringify(manifest, null, 1)}\n`);
  synced(folder);
  return manifest;
}

/** What a folder says that it holds; a problem, as a clause, where it is no backup or one of a later build. */
export function manifestIn(folder: string): Manifest | Problem {
  let value: unknown;
  try {
    if (statSync(join(folder, NAME)).size > MAX_BYTES) return { problem: `has a \`${NAME}\` that is too large` };
    value = JSON.parse(readFileSync(join(folder, NAME), 'utf8'));
  } catch (error) {
    const isMissing = typeof error === 'object' && error !== null && 'code' in error && error.code === 'ENOENT';
    return {
      problem: isMissing
        ? `has no \`${NAME}\`: it is not a backup, or one that was interrupted`
        : `has a \`${NAME}\` that cannot be read`,
    };
  }
  const format = membersFrom(value, { format: integer(1, 1_000) }, { noun: 'member', others: 'ignored' });
  if (!isProblem(format) && format.format > FORMAT)
    return { problem: 'was made by a later build of Remit: restore it with that build or a later one' };
  const manifest = membersFrom(value, readers, { noun: 'member', others: 'refused' });
  return isProblem(manifest) ? { problem: `has a \`${NAME}\` whose ${manifest.problem}` } : manifest;
}

/** The digest of a file, read in pieces; in base64url. */
export async function fileSha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece as Uint8Array);
  return hash.digest('base64url');
}

/** A relative path without a way out of its folder. */
const inside = text({
  max: 1_024,
  grammar: {
    matches: (path) =>
      /^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/.test(path) && !path.split('/').some((part) => /^\.+$/.test(part)),
    words: 'a path within the backup',
  },
});

const strict =
  <R extends Readonly<Record<string, Reader<unknown>>>>(of: R) =>
  (value: unknown) =>
    membersFrom(value, of, { noun: 'member', others: 'refused' });

const anyNumber = integer(0, Number.MAX_SAFE_INTEGER);

const readers = {
  format: integer(1, FORMAT),
  remit: text({ max: 256 }),
  madeAtMs: integer(0, MAX_MS),
  state: inside,
  ledgers: listOf(
    strict({ folder: inside, from: text({ max: 4_096 }), origin: text({ max: 1_024 }), size: anyNumber }),
    { min: 0, max: 64 },
  ),
  keys: listOf(strict({ of: text({ max: 64 }), place: inside }), { min: 0, max: 16 }),
  files: listOf(strict({ name: inside, bytes: anyNumber, sha256: text({ max: 64 }) }), { min: 1, max: MAX_FILES }),
};

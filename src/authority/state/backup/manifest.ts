import { createHash } from 'node:crypto';
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isProblem, type Problem } from '../../../core/runtime/problem.ts';
import { integer, listOf, members, text } from '../../../core/runtime/fields.ts';
import { writePrivateFile } from '../../../core/runtime/system/private-write.ts';
import { synced } from '../../../core/runtime/system/synced.ts';
import { errorCode } from '../../../core/runtime/system/error-code.ts';

/** Version of the layout of a backup folder. */
const FORMAT = 1;
const NAME = 'backup.json';
const MAX_BYTES = 64 * 1024 ** 2;
const MAX_FILES = 1_000_000;
/** The end of the year 9999. */
const MAX_MS = 253_402_300_799_999;

/** A file of a backup. */
export interface BackedUpFile {
  /** Path relative to the backup folder. */
  readonly name: string;
  readonly bytes: number;
  /** SHA-256 in base64url. */
  readonly sha256: string;
}

/** A ledger in a backup. */
export interface BackedUpLedger {
  /** Folder relative to the backup folder. */
  readonly folder: string;
  /** Original path. */
  readonly from: string;
  readonly origin: string;
  /** Number of records, including those discarded by retention. */
  readonly size: number;
}

/** The contents of a backup. It is written last: a folder without a manifest is not a backup. */
export interface Manifest {
  readonly format: number;
  /** Version of Remit that made the backup. */
  readonly remit: string;
  /** Milliseconds since the Unix epoch, when the copy of the state file began. */
  readonly madeAtMs: number;
  /** Path of the state file within the folder. */
  readonly state: string;
  readonly ledgers: readonly BackedUpLedger[];
  /** Keys by configuration key, such as `ledger.key`, each with its path within the folder. Empty if keys were not requested. */
  readonly keys: readonly { readonly of: string; readonly place: string }[];
  readonly files: readonly BackedUpFile[];
}

/** Writes the manifest of a backup and syncs it to disk. Throws the system's error. */
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

/** Reads the manifest of a folder. A problem, as a clause, if the folder is not a backup or is from a later build. */
export function manifestIn(folder: string): Manifest | Problem {
  let value: unknown;
  try {
    if (statSync(join(folder, NAME)).size > MAX_BYTES) return { problem: `has a \`${NAME}\` that is too large` };
    value = JSON.parse(readFileSync(join(folder, NAME), 'utf8'));
  } catch (error) {
    const isMissing = errorCode(error) === 'ENOENT';
    return {
      problem: isMissing
        ? `has no \`${NAME}\`: it is not a backup, or the backup was interrupted`
        : `has a \`${NAME}\` that cannot be read`,
    };
  }
  const format = anyFormat(value);
  if (!isProblem(format) && format.format > FORMAT)
    return { problem: 'was made by a later build of Remit: restore it with that build or a later build' };
  const manifest = manifestFrom(value);
  return isProblem(manifest) ? { problem: `has a \`${NAME}\` whose ${manifest.problem}` } : manifest;
}

/** SHA-256 of a file in base64url, read in chunks. */
export async function fileSha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path)) hash.update(piece as Uint8Array);
  return hash.digest('base64url');
}

/** A relative path that stays within its folder. */
const inside = text({
  max: 1_024,
  grammar: {
    matches: (path) =>
      /^[A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*$/.test(path) && !path.split('/').some((part) => /^\.+$/.test(part)),
    words: 'a path within the backup',
  },
});

const anyNumber = integer(0, Number.MAX_SAFE_INTEGER);

const anyFormat = members({ format: integer(1, 1_000) }, { others: 'ignored' });

const manifestFrom = members({
  format: integer(1, FORMAT),
  remit: text({ max: 256 }),
  madeAtMs: integer(0, MAX_MS),
  state: inside,
  ledgers: listOf(
    members({ folder: inside, from: text({ max: 4_096 }), origin: text({ max: 1_024 }), size: anyNumber }),
    { min: 0, max: 64 },
  ),
  keys: listOf(members({ of: text({ max: 64 }), place: inside }), { min: 0, max: 16 }),
  files: listOf(members({ name: inside, bytes: anyNumber, sha256: text({ max: 64 }) }), { min: 1, max: MAX_FILES }),
});

import { execFileSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { constants, gzipSync } from 'node:zlib';

/** What an archive says of all its entries. */
export interface ArchiveOptions {
  /** Time of change of each entry, in seconds since 1970. */
  readonly seconds: number;
  /** Folders that are no entries themselves, since each host has them with its own mode: `usr/bin`. Default none. */
  readonly shared?: readonly string[];
}

/**
 * Writes a folder as `.tar`, or `.tar.gz` by its name: the same files give the same bytes, whatever their times, owners, order and the umask they
 * were written with. Entries belong to root and only root may write them. Takes GNU tar.
 */
export function writeArchive(folder: string, file: string, { seconds, shared = [] }: ArchiveOptions): void {
  const apart = new Set(shared);
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => !apart.has(name))
    .toSorted((a, b) => (a < b ? -1 : 1));
  const tar = execFileSync(
    'tar',
    [
      '--create',
      '--format=gnu',
      '--no-recursion',
      '--owner=0',
      '--group=0',
      '--numeric-owner',
      '--mode=u=rwX,go=rX',
      `--mtime=@${seconds}`,
      '--null',
      '--files-from=-',
    ],
    {
      cwd: folder,
      input: names.map((name) => `${name}\0`).join(''),
      maxBuffer: 2 ** 30,
      env: { ...process.env, LC_ALL: 'C', TZ: 'UTC' },
    },
  );
  writeFileSync(file, file.endsWith('gz') ? gzipSync(tar, { level: constants.Z_BEST_COMPRESSION }) : tar);
}

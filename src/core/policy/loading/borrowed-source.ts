import { join, relative } from 'node:path';
import { anyPath } from '../../config/writable-path.ts';
import { CATALOG, isEntitiesFile, SCHEMA_FILE } from './source-names.ts';
import { systemDisk } from './source.ts';
import type { PolicyDisk } from './source.ts';
import { errorCode } from '../../runtime/system/error-code.ts';

const BORROWED = new Set([CATALOG, SCHEMA_FILE]);

/**
 * A disk on which a policy folder without catalog, base schema or entities uses those of another folder, so that a few policies
 * can stand alone. Policies are never borrowed. For commands only: nobody is prevented from writing to it.
 */
export function borrowingDisk(folder: string, base: string, disk: PolicyDisk = systemDisk): PolicyDisk {
  return {
    list: async (listed) => {
      const names = await disk.list(listed);
      if (listed !== folder) return names;
      const theirs = await disk.list(base);
      const hasEntities = names.some((name) => isEntitiesFile(name));
      const lent = theirs.filter((name) => BORROWED.has(name) || (!hasEntities && isEntitiesFile(name)));
      return [...new Set([...names, ...lent])];
    },
    read: (file, maxBytes) => ownOrLent(file, (path) => disk.read(path, maxBytes)),
    stamp: (file) => ownOrLent(file, (path) => disk.stamp(path)),
    guard: anyPath,
  };

  async function ownOrLent<T>(file: string, use: (path: string) => Promise<T>): Promise<T> {
    try {
      return await use(file);
    } catch (error) {
      const isMissing = errorCode(error) === 'ENOENT';
      if (!isMissing) throw error;
      return use(join(base, relative(folder, file)));
    }
  }
}

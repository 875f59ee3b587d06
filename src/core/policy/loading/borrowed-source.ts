import { join, relative } from 'node:path';
import { anyPath } from '../../config/writable-path.ts';
import { CATALOG, CATALOGS, ENTITIES, isEntitiesFile, SCHEMA_FILE } from './source-names.ts';
import { systemDisk } from './source.ts';
import type { PolicyDisk } from './source.ts';
import { errorCode } from '../../runtime/system/error-code.ts';

const isCatalog = (name: string): boolean => name === CATALOG || name === CATALOGS;
const isEntities = (name: string): boolean => name === ENTITIES || isEntitiesFile(name);

/**
 * A disk on which a policy folder without catalog, base schema or entities uses those of another folder, so that a few policies
 * can stand alone. Policies are never borrowed. For commands only, since it has no guard against files that others can write.
 */
export function borrowingDisk(folder: string, base: string): PolicyDisk {
  return {
    list: async (listed) => {
      if (listed !== folder) return ownOrLent(listed, (path) => systemDisk.list(path));
      const names = await systemDisk.list(listed);
      const theirs = await systemDisk.list(base);
      const lent = theirs.filter(
        (name) =>
          name === SCHEMA_FILE ||
          (isCatalog(name) && !names.some(isCatalog)) ||
          (isEntities(name) && !names.some(isEntities)),
      );
      return [...new Set([...names, ...lent])];
    },
    read: (file, maxBytes) => ownOrLent(file, (path) => systemDisk.read(path, maxBytes)),
    stamp: (file) => ownOrLent(file, (path) => systemDisk.stamp(path)),
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

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE_MARKER, intoCache } from '../../src/dev/envoy-binary.ts';
import { initDataFolder } from '../../src/dev/postgres/data-folder.ts';
import { POSTGRES_VERSION } from '../../src/dev/postgres/binaries.ts';
import { cacheFolder } from '../parts/cache.ts';

const folder = join(cacheFolder, `postgres-${POSTGRES_VERSION}-data`);

/** A data folder to copy, made once in the cache: `initdb` takes seconds on a loaded machine. */
export async function dataTemplate(binaries: string): Promise<string> {
  const data = join(folder, 'data');
  if (!existsSync(join(folder, CACHE_MARKER)))
    await intoCache(folder, (scratch) => initDataFolder(binaries, join(scratch, 'data')));
  return data;
}

import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inOwnNetwork } from './in-own-network.ts';

/**
 * How many calls are lost while the only authority is restarted at another address, as its pod is: `npm run build` and
 * `node test/fleet/moved/restart.ts [--lease 5] [--drain 5] [--away 2]`.
 */
const resolver = join(tmpdir(), `remit-moved-${process.pid}.conf`);
try {
  console.log(await inOwnNetwork('restart-elsewhere.ts', process.argv.slice(2), resolver));
} finally {
  await rm(resolver, { force: true });
}

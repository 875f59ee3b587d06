import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CACHE_MARKER, intoCache, type BinaryProblem } from '../../src/dev/envoy-binary.ts';
import { CEDAR_VERSION, cedarFolder } from './cache.ts';

/**
 * Builds the command of Cedar, without optimisation, since it is run a few times. Takes Rust, which few machines of those who work on
 * this have: a suite that needs it is skipped without it. Quick where it was done before.
 */
export async function installCedar(say: (line: string) => void): Promise<string | BinaryProblem> {
  if (existsSync(join(cedarFolder, CACHE_MARKER))) return cedarFolder;
  say(`building cedar ${CEDAR_VERSION} into ${cedarFolder} (about 5 minutes on 2 cores, once)`);
  try {
    return await intoCache(cedarFolder, async (scratch) => {
      const version = ['--version', CEDAR_VERSION, '--locked'];
      const target = ['--target-dir', join(scratch, 'target'), '--root', scratch];
      execFileSync('cargo', ['install', '--quiet', '--debug', 'cedar-policy-cli', ...version, ...target], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      await rename(join(scratch, 'bin/cedar'), join(scratch, 'cedar'));
      await rm(join(scratch, 'target'), { recursive: true });
      return cedarFolder;
    });
  } catch (error) {
    const cause = error instanceof Error ? error.message.trim().split('\n').slice(-3).join(' | ') : String(error);
    return { problem: `could not build cedar ${CEDAR_VERSION}, which takes Rust: ${cause}` };
  }
}

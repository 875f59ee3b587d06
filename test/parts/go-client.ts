import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { CACHE_MARKER, intoCache, type BinaryProblem } from '../../src/dev/envoy-binary.ts';
import { cacheFolder } from './cache.ts';
import { goBuildCache } from './go-part.ts';

/** The version of `golang.org/x/oauth2`. */
export const X_OAUTH2_VERSION = '0.38.0';

const SOURCE = resolve(import.meta.dirname, '../clients/go/oauth2.go');

/** Where the agent with x/oauth2 is built, whether it is there or not. Another version or source is in another folder. */
export const oauth2AgentFolder = ((): string => {
  const digest = createHash('sha256').update(X_OAUTH2_VERSION).update(readFileSync(SOURCE)).digest('hex');
  return join(cacheFolder, `client-x-oauth2-${digest.slice(0, 12)}`);
})();

/** Builds the agent with x/oauth2 as `agent`. Takes Go; quick where it was done before. */
export async function installOauth2Agent(say: (line: string) => void): Promise<string | BinaryProblem> {
  if (existsSync(join(oauth2AgentFolder, CACHE_MARKER))) return oauth2AgentFolder;
  say(`building an agent with x/oauth2 ${X_OAUTH2_VERSION} into ${oauth2AgentFolder} (some seconds, once)`);
  try {
    return await intoCache(oauth2AgentFolder, async (scratch) => {
      const env = { GOCACHE: goBuildCache, ...process.env, CGO_ENABLED: '0' };
      const go = (...args: string[]) =>
        execFileSync('go', args, { cwd: scratch, env, stdio: ['ignore', 'ignore', 'pipe'] });
      await copyFile(SOURCE, join(scratch, 'main.go'));
      go('mod', 'init', 'agent');
      go('get', `golang.org/x/oauth2@v${X_OAUTH2_VERSION}`);
      go('build', '-o', 'agent', '.');
      return oauth2AgentFolder;
    });
  } catch (error) {
    return { problem: `could not build an agent with x/oauth2, which takes Go 1.26 or later: ${String(error)}` };
  }
}

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { CACHE_MARKER, intoCache, type BinaryProblem } from '../../src/dev/envoy-binary.ts';
import { cacheFolder } from './cache.ts';
import { goBuildCache } from './go-part.ts';

/** A program of `test/clients/go`, and the module that it tries. */
export interface GoClient {
  /** From `test/clients/go`. */
  readonly source: string;
  /** What its users call the module. */
  readonly called: string;
  /** A package of the module, as programs import it. */
  readonly path: string;
  /** Of the module. What it depends on has the versions that it asks for. */
  readonly version: string;
}

/** Programs in Go that real agents are like. */
export const goClients = {
  'x-oauth2': { source: 'oauth2.go', called: 'x/oauth2', path: 'golang.org/x/oauth2', version: '0.38.0' },
  'mcp-go-sdk': {
    source: 'service.go',
    called: 'go-sdk',
    path: 'github.com/modelcontextprotocol/go-sdk/mcp',
    version: '1.8.0',
  },
  'mcp-go-jobs': {
    source: '../frameworks/go/jobs.go',
    called: 'go-sdk',
    path: 'github.com/modelcontextprotocol/go-sdk/mcp',
    version: '1.8.0',
  },
} as const satisfies Readonly<Record<string, GoClient>>;

/** A program in Go with its module. */
export type GoClientName = keyof typeof goClients;

const names = Object.keys(goClients) as GoClientName[];

/** The source of a program. */
export const goClientSource = (name: GoClientName): string =>
  resolve(import.meta.dirname, '../clients/go', goClients[name].source);

/** Where a program is built, whether it is there or not. Another version or source is in another folder. */
export function goClientFolder(name: GoClientName): string {
  const digest = createHash('sha256')
    .update(goClients[name].version)
    .update(readFileSync(goClientSource(name)))
    .digest('hex');
  return join(cacheFolder, `client-${name}-${digest.slice(0, 12)}`);
}

/** Builds each program as `agent`. Takes Go; quick if it was done before. */
export async function installGoClients(say: (line: string) => void): Promise<(string | BinaryProblem)[]> {
  const results: (string | BinaryProblem)[] = [];
  for (const name of names) results.push(await install(name, say));
  return results;
}

async function install(name: GoClientName, say: (line: string) => void): Promise<string | BinaryProblem> {
  const folder = goClientFolder(name);
  if (existsSync(join(folder, CACHE_MARKER))) return folder;
  const { called, path, version } = goClients[name];
  say(`building a program with ${called} ${version} into ${folder} (some seconds, once)`);
  try {
    return await intoCache(folder, async (scratch) => {
      const env = { GOCACHE: goBuildCache, ...process.env, CGO_ENABLED: '0' };
      const go = (...args: string[]) =>
        execFileSync('go', args, { cwd: scratch, env, stdio: ['ignore', 'ignore', 'pipe'] });
      await copyFile(goClientSource(name), join(scratch, 'main.go'));
      go('mod', 'init', 'agent');
      go('get', `${path}@v${version}`);
      go('build', '-o', 'agent', '.');
      return folder;
    });
  } catch (error) {
    return { problem: `could not build a program with ${called}, which takes Go 1.26 or later: ${String(error)}` };
  }
}

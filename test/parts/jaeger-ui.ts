import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { CACHE_MARKER, intoCache, type BinaryProblem } from '../../src/dev/envoy-binary.ts';
import { JAEGER_UI_VERSION, jaegerUiFolder } from './cache.ts';

/**
 * Installs the built pages of Jaeger, which the Go module of Jaeger itself does not have; BuildKit shows its traces with these.
 * Takes Go; quick where it was done before.
 */
export async function installJaegerUi(say: (line: string) => void): Promise<string | BinaryProblem> {
  if (existsSync(join(jaegerUiFolder, CACHE_MARKER))) return jaegerUiFolder;
  say(`fetching the pages of Jaeger into ${jaegerUiFolder} (about 2 MB, once)`);
  try {
    return await intoCache(jaegerUiFolder, async (scratch) => {
      const module = `github.com/tonistiigi/jaeger-ui-rest@${JAEGER_UI_VERSION}`;
      const { Dir } = JSON.parse(execFileSync('go', ['mod', 'download', '-json', module], { encoding: 'utf8' }));
      await unzip(join(String(Dir), 'public'), scratch);
      return jaegerUiFolder;
    });
  } catch (error) {
    return { problem: `could not fetch the pages of Jaeger, which takes Go: ${String(error)}` };
  }
}

/** Each file is compressed, under the name of what is in it. */
async function unzip(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) await unzip(source, target);
    else await writeFile(target, gunzipSync(await readFile(source)));
  }
}

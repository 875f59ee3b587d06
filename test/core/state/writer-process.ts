import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

/** The command line that runs `killed-writer.ts` with this Node. */
export const writerWords = (...args: readonly string[]): readonly string[] => [
  '--no-warnings',
  join(import.meta.dirname, 'killed-writer.ts'),
  ...args,
];

/** An environment in which its files are compiled once for all processes. @param folder an empty one */
export function compiledOnce(folder: string): NodeJS.ProcessEnv {
  const environment = { ...process.env, NODE_COMPILE_CACHE: folder };
  execFileSync(process.execPath, writerWords(join(folder, 'state.db'), '1', '1'), { env: environment });
  return environment;
}

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** How a container of the image starts. */
export interface EntryPoint {
  /** Words of its command, before the arguments. */
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** Reads `ENTRYPOINT` and `ENV` of the Dockerfile of a checkout. Throws where it has no entry point. */
export async function entryPointOf(checkout: string): Promise<EntryPoint> {
  const file = join(checkout, 'deploy/image/Dockerfile');
  const text = (await readFile(file, 'utf8')).replaceAll('\\\n', '');
  const found = /^ENTRYPOINT (\[.*\])$/m.exec(text)?.[1];
  if (found === undefined) throw new Error(`${file} has no ENTRYPOINT`);
  const variables = [...text.matchAll(/^ENV (.*)$/gm)].flatMap(([, line = '']) => line.split(' '));
  return { command: JSON.parse(found), environment: Object.fromEntries(variables.map((one) => one.split('=', 2))) };
}

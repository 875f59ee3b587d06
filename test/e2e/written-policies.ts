import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { examples } from './domain.ts';

const shared = (name: string) => ({ [name]: readFileSync(join(examples, name)) });

/** The rules of the example by which tokens are issued. */
export const ISSUING = shared('policies/issue.cedar');

/** Writes a policy folder: these files, by their names in it, and the schema and the agents of the example. */
export async function writePolicies(
  folder: string,
  files: Readonly<Record<string, string | Uint8Array>>,
): Promise<void> {
  const all = { ...shared('base.cedarschema'), ...shared('entities.cedarentities.json'), ...files };
  for (const [name, content] of Object.entries(all)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
}

import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { hashOf } from '../../policy/loading/proved-set.ts';
import type { PolicySource } from '../../policy/loading/source.ts';
import { isProblem, listOf, membersFrom, text, type Problem, type Reader } from '../../token/members.ts';
import { PRIVATE_MODE } from '../../runtime/private-file.ts';

/** Texts of one policy set at most; a larger one is not kept. */
const MAX_SET_BYTES = 32 * 1024 ** 2;
/** Texts of all sets; beyond it the ones that were kept first are given up. */
const MAX_ALL_BYTES = 512 * 1024 ** 2;
const MAX_FILES = 1000;

/** One file of a set that was kept. */
export interface KeptFile {
  readonly name: string;
  readonly text: string;
}

/** The files of a policy set, of which its hash was computed anew when they were read. */
export interface KeptPolicies {
  readonly catalog: KeptFile;
  readonly schema: KeptFile;
  readonly policies: readonly KeptFile[];
  readonly entities: readonly KeptFile[];
  readonly descriptorSets: readonly { readonly name: string; readonly data: string }[];
}

const folderIn = (ledger: string): string => join(ledger, 'policies');

/** Where the text of a set is kept: in the folder `policies` of the ledger, one file of JSON by its hash. */
export const keptPoliciesFile = (ledger: string, hash: string): string =>
  join(folderIn(ledger), `${hash.replaceAll(/[^A-Za-z0-9_-]/g, '_')}.json`);

/**
 * Keeps the text of a policy set beside the ledger, under its hash, whole and on disk before it returns. A set that is kept
 * already is left as it is. Bounds: 32 MiB a set, 512 MiB all; beyond that the ones that were kept first go.
 */
export async function keepPolicies(
  ledger: string,
  { hash, source }: { readonly hash: string; readonly source: PolicySource },
): Promise<Problem | null> {
  const file = keptPoliciesFile(ledger, hash);
  try {
    if ((await stat(file).catch(() => null)) !== null) return null;
    const content = JSON.stringify(keptFrom(source), null, 1);
    const bytes = Buffer.byteLength(content);
    if (bytes > MAX_SET_BYTES) return { problem: `its ${bytes} bytes are more than ${MAX_SET_BYTES}` };
    await mkdir(folderIn(ledger), { recursive: true, mode: 0o700 });
    await makeRoom(folderIn(ledger), bytes);
    const fresh = `${file}.new`;
    await rm(fresh, { force: true });
    const written = await open(fresh, 'wx', PRIVATE_MODE);
    try {
      await written.writeFile(content);
      await written.sync();
    } finally {
      await written.close();
    }
    await rename(fresh, file);
    return null;
  } catch (error) {
    return { problem: codeOf(error) };
  }
}

/** The kept text of a set; `null` where none is, a problem where it is not the text that has this hash. */
export async function keptPolicies(ledger: string, hash: string): Promise<KeptPolicies | Problem | null> {
  const file = keptPoliciesFile(ledger, hash);
  try {
    const about = await stat(file).catch(() => null);
    if (about === null) return null;
    if (!about.isFile() || about.size > MAX_SET_BYTES) return { problem: 'is no file of a kept set' };
    const kept = membersFrom(JSON.parse(await readFile(file, 'utf8')), readers, { noun: 'member', others: 'refused' });
    if (isProblem(kept)) return kept;
    return hashOf(sourceFrom(kept)) === hash ? kept : { problem: 'does not have the hash it is kept under' };
  } catch (error) {
    return { problem: `cannot be read: ${error instanceof SyntaxError ? 'it is not JSON' : codeOf(error)}` };
  }
}

const fileOf = ({ name, text: content }: KeptFile): KeptFile => ({ name, text: content });

const keptFrom = ({ catalog, schema, policies, entities, descriptorSets }: PolicySource): KeptPolicies => ({
  catalog: fileOf(catalog),
  schema: fileOf(schema),
  policies: policies.map(fileOf),
  entities: entities.map(fileOf),
  descriptorSets: Array.from(descriptorSets).flatMap(([name, bytes]) =>
    isProblem(bytes) ? [] : [{ name, data: Buffer.from(bytes).toString('base64url') }],
  ),
});

const placed = (kept: KeptFile) => ({ ...kept, file: kept.name });

const sourceFrom = ({ catalog, schema, policies, entities, descriptorSets }: KeptPolicies): PolicySource => {
  return {
    folder: '',
    catalog: placed(catalog),
    schema: placed(schema),
    policies: policies.map(placed),
    entities: entities.map(placed),
    descriptorSets: new Map(descriptorSets.map(({ name, data }) => [name, Buffer.from(data, 'base64url')])),
  };
};

async function makeRoom(folder: string, bytes: number): Promise<void> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.json'));
  const kept = await Promise.all(
    names.map(async (name) => {
      const { size, mtimeMs } = await stat(join(folder, name));
      return { name, size, mtimeMs };
    }),
  );
  let left = kept.reduce((sum, { size }) => sum + size, bytes);
  for (const { name, size } of kept.toSorted((a, b) => a.mtimeMs - b.mtimeMs)) {
    if (left <= MAX_ALL_BYTES) return;
    await rm(join(folder, name), { force: true });
    left -= size;
  }
}

const codeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : String(error);

const strict =
  <R extends Readonly<Record<string, Reader<unknown>>>>(of: R) =>
  (value: unknown) =>
    membersFrom(value, of, { noun: 'member', others: 'refused' });

const file = strict({ name: text({ max: 1024 }), text: text({ min: 0, max: MAX_SET_BYTES }) });

const readers = {
  catalog: file,
  schema: file,
  policies: listOf(file, { min: 0, max: MAX_FILES }),
  entities: listOf(file, { min: 0, max: MAX_FILES }),
  descriptorSets: listOf(strict({ name: text({ max: 1024 }), data: text({ min: 0, max: MAX_SET_BYTES }) }), {
    min: 0,
    max: 16,
  }),
};

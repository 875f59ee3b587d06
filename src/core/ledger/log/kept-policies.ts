import { readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { hasSetHash } from '../../policy/loading/set-hash.ts';
import type { PolicySource } from '../../policy/loading/source.ts';
import { isProblem, type Problem } from '../../runtime/problem.ts';
import { listOf, members, optional, text } from '../../runtime/fields.ts';
import { durablyReplaced, folderSynced } from '../../runtime/system/durable-replace.ts';
import { errorCode } from '../../runtime/system/error-code.ts';

/** Largest policy set that is kept. */
const MAX_SET_BYTES = 32 * 1024 ** 2;
/** Limit for all sets together. */
const MAX_ALL_BYTES = 512 * 1024 ** 2;
const MAX_FILES = 1000;

/** One file of a kept set. */
export interface KeptFile {
  readonly name: string;
  readonly text: string;
}

/** The files of a policy set, whose hash was verified when they were read. */
export interface KeptPolicies {
  /** The files of the catalog, at least one. */
  readonly catalogs: readonly KeptFile[];
  readonly schema: KeptFile;
  readonly policies: readonly KeptFile[];
  readonly entities: readonly KeptFile[];
  /** Absent if the set has none. */
  readonly enforcement?: KeptFile;
  /** Absent if the set has none. */
  readonly limits?: KeptFile;
  readonly descriptorSets: readonly { readonly name: string; readonly data: string }[];
}

/** The folder of the kept policy sets of a ledger. */
export const keptPoliciesFolder = (ledger: string): string => join(ledger, 'policies');

/** The file that keeps a set: JSON in the folder `policies` of the ledger, named by its hash. */
export const keptPoliciesFile = (ledger: string, hash: string): string =>
  join(keptPoliciesFolder(ledger), `${hash.replaceAll(/[^A-Za-z0-9_-]/g, '_')}.json`);

/** Whether the text of a policy set was kept. */
export interface KeptText {
  readonly isKept: boolean;
  /** Hashes of the oldest sets, whose texts exceed the limit: a record names them, then `forgetPolicies` deletes them. */
  readonly beyond: readonly string[];
  /** Hashes of sets whose texts an earlier version kept and that are missing. Default none. */
  readonly missing?: readonly string[];
}

/**
 * Keeps the text of a policy set beside the ledger, by its hash; atomic, and synced before it returns. A set that exists is
 * left alone. Limits: 32 MiB per set, 512 MiB in all, above which the oldest are to be deleted.
 *
 * @returns a problem if the set is too large or cannot be written
 */
export async function keepPolicies(
  ledger: string,
  { hash, source }: { readonly hash: string; readonly source: PolicySource },
): Promise<KeptText | Problem> {
  const file = keptPoliciesFile(ledger, hash);
  try {
    if ((await stat(file).catch(() => null)) !== null) return { isKept: true, beyond: [] };
    const content = JSON.stringify(writtenFrom(keptFrom(source)), null, 1);
    const bytes = Buffer.byteLength(content);
    if (bytes > MAX_SET_BYTES) return { problem: `its ${bytes} bytes are more than ${MAX_SET_BYTES}` };
    const isNew = (await mkdir(keptPoliciesFolder(ledger), { recursive: true, mode: 0o700 })) !== undefined;
    const fresh = `${file}.new`;
    await rm(fresh, { force: true });
    // A record says that the text is kept: its name must survive what the record survives.
    await durablyReplaced(file, content, fresh);
    if (isNew) await folderSynced(ledger);
    return { isKept: true, beyond: await oldestBeyond(keptPoliciesFolder(ledger), file) };
  } catch (error) {
    return { problem: errorCode(error) ?? String(error) };
  }
}

/** Deletes the texts of sets. Those that cannot be deleted stay: the next load names them again. */
export async function forgetPolicies(ledger: string, hashes: readonly string[]): Promise<void> {
  for (const hash of hashes) await rm(keptPoliciesFile(ledger, hash), { force: true }).catch(() => undefined);
}

/** The hashes of the sets whose texts are beside a ledger, by the names of their files. Throws the system's error. */
export const keptHashesIn = (ledger: string): readonly string[] =>
  readdirSync(keptPoliciesFolder(ledger)).flatMap(hashesNamed).toSorted();

/** The kept text of a set; `null` if there is none, a problem if it does not have this hash. */
export function keptPolicies(ledger: string, hash: string): KeptPolicies | Problem | null {
  const file = keptPoliciesFile(ledger, hash);
  try {
    const about = statSync(file, { throwIfNoEntry: false });
    if (about === undefined) return null;
    if (!about.isFile() || about.size > MAX_SET_BYTES)
      return { problem: `must be a regular file of at most ${MAX_SET_BYTES} bytes` };
    const kept = keptPoliciesFrom(JSON.parse(readFileSync(file, 'utf8')));
    if (isProblem(kept)) return kept;
    return hasSetHash(keptSource(kept), hash) ? kept : { problem: 'does not have the hash it is kept under' };
  } catch (error) {
    return {
      problem: `cannot be read: ${error instanceof SyntaxError ? 'it is not JSON' : (errorCode(error) ?? String(error))}`,
    };
  }
}

const fileOf = ({ name, text: content }: KeptFile): KeptFile => ({ name, text: content });

/** What is kept of a set. */
export const keptFrom = ({
  catalogs,
  schema,
  policies,
  entities,
  descriptorSets,
  enforcement,
  limits,
}: PolicySource): KeptPolicies => ({
  catalogs: catalogs.map(fileOf),
  schema: fileOf(schema),
  policies: policies.map(fileOf),
  entities: entities.map(fileOf),
  ...(enforcement === undefined ? {} : { enforcement: fileOf(enforcement) }),
  ...(limits === undefined ? {} : { limits: fileOf(limits) }),
  descriptorSets: Array.from(descriptorSets).flatMap(([name, bytes]) =>
    isProblem(bytes) ? [] : [{ name, data: Buffer.from(bytes).toString('base64url') }],
  ),
});

/** The form in the file: a set with a single catalog file is written so that earlier versions can read it. */
const writtenFrom = ({ catalogs: [catalog, ...moreCatalogs], ...rest }: KeptPolicies): unknown => ({
  catalog,
  ...(moreCatalogs.length === 0 ? {} : { moreCatalogs }),
  ...rest,
});

const placed = (kept: KeptFile) => ({ ...kept, file: kept.name });

/** The kept files as the source of a set, in a folder without a name. */
export const keptSource = ({
  catalogs,
  schema,
  policies,
  entities,
  descriptorSets,
  enforcement,
  limits,
}: KeptPolicies): PolicySource => {
  return {
    folder: '',
    catalogs: catalogs.map(placed),
    schema: placed(schema),
    policies: policies.map(placed),
    entities: entities.map(placed),
    ...(enforcement === undefined ? {} : { enforcement: placed(enforcement) }),
    ...(limits === undefined ? {} : { limits: placed(limits) }),
    descriptorSets: new Map(descriptorSets.map(({ name, data }) => [name, Buffer.from(data, 'base64url')])),
  };
};

/** @param file the file that stays, whatever its size */
async function oldestBeyond(folder: string, file: string): Promise<readonly string[]> {
  const kept = await Promise.all(
    (await readdir(folder)).flatMap(hashesNamed).map(async (hash) => {
      const path = keptPoliciesFile(dirname(folder), hash);
      const { size, mtimeMs } = await stat(path);
      return { hash, path, size, mtimeMs };
    }),
  );
  let left = kept.reduce((sum, { size }) => sum + size, 0);
  const beyond: string[] = [];
  for (const { hash, path, size } of kept.toSorted((a, b) => a.mtimeMs - b.mtimeMs)) {
    if (left <= MAX_ALL_BYTES) break;
    if (path === file) continue;
    beyond.push(hash);
    left -= size;
  }
  return beyond;
}

/** The hash in the name of a file; a name of another form has none. */
const hashesNamed = (name: string): readonly string[] => {
  const digest = /^sha-256_([\w-]{43})\.json$/.exec(name)?.[1];
  return digest === undefined ? [] : [`sha-256:${digest}`];
};

const file = members({ name: text({ max: 1024 }), text: text({ min: 0, max: MAX_SET_BYTES }) });

const keptMembers = members({
  catalog: file,
  // Absent in sets with one file, and those of earlier versions.
  moreCatalogs: optional(listOf(file, { max: MAX_FILES })),
  schema: file,
  policies: listOf(file, { min: 0, max: MAX_FILES }),
  entities: listOf(file, { min: 0, max: MAX_FILES }),
  // Absent in sets without them, and those of earlier versions.
  enforcement: optional(file),
  limits: optional(file),
  descriptorSets: listOf(members({ name: text({ max: 1024 }), data: text({ min: 0, max: MAX_SET_BYTES }) }), {
    min: 0,
    max: 16,
  }),
});

function keptPoliciesFrom(value: unknown): KeptPolicies | Problem {
  const read = keptMembers(value);
  if (isProblem(read)) return read;
  const { catalog, moreCatalogs, enforcement, limits, ...rest } = read;
  const catalogs = [catalog, ...(moreCatalogs ?? [])];
  return {
    catalogs,
    ...rest,
    ...(enforcement === null ? {} : { enforcement }),
    ...(limits === null ? {} : { limits }),
  };
}

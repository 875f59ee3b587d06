import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { descriptorSetNames } from '../../action/catalog/catalog-descriptor-sets.ts';
import type { DescriptorFiles } from '../../action/catalog/catalog-descriptor-sets.ts';
import { catalogWithinBound } from '../../action/catalog/catalog-size.ts';
import type { SourceFinding } from '../../action/catalog/finding.ts';
import { anyPath } from '../../config/writable-path.ts';
import type { PathGuard } from '../../config/writable-path.ts';
import { mapSeveral } from '../../runtime/collections/map-several.ts';
import type { Problem } from '../../runtime/problem.ts';
import { builtInBase } from '../built-in-base.ts';
import { policyTree } from './policy-tree.ts';
import type { PolicyTree } from './policy-tree.ts';
import {
  CATALOG,
  ENFORCEMENT,
  GENERATED_SCHEMA,
  isCatalogFile,
  isEntitiesFile,
  isPolicyFile,
  LIMITS,
  SCHEMA_FILE,
} from './source-names.ts';
import { errorCode } from '../../runtime/system/error-code.ts';

/** One file of a policy folder. */
export interface SourceFile {
  /** Relative to the folder, with `/` as separator. */
  readonly name: string;
  /** Its name in findings: the folder as given, and the name. */
  readonly file: string;
  readonly text: string;
}

/** The content of a policy folder. */
export interface PolicySource {
  readonly folder: string;
  /** The files of the catalog, at least one, by name: `actions.yaml`, and those of the folder `actions`. */
  readonly catalogs: readonly SourceFile[];
  /** The descriptor sets that the catalog names. */
  readonly descriptorSets: DescriptorFiles;
  readonly schema: SourceFile;
  /** Policies, templates and links, by name: `*.cedar` and `*.cedarlinks.json`. */
  readonly policies: readonly SourceFile[];
  /** By name. */
  readonly entities: readonly SourceFile[];
  /** Which calls are observed; absent if all are enforced. */
  readonly enforcement?: SourceFile;
  /** Limits over all tasks; absent if there are none. */
  readonly limits?: SourceFile;
  /** The generated schema beside the base, if present; not part of the set. */
  readonly generated?: SourceFile;
}

/** Every text of a set, as one list: catalogs, schema, policies, entities, enforcement and limits. */
export const sourceTexts = <File>({
  catalogs,
  schema,
  policies,
  entities,
  enforcement,
  limits,
}: {
  readonly catalogs: readonly File[];
  readonly schema: File;
  readonly policies: readonly File[];
  readonly entities: readonly File[];
  readonly enforcement?: File;
  readonly limits?: File;
}): readonly File[] => [
  ...catalogs,
  schema,
  ...policies,
  ...entities,
  ...[enforcement, limits].flatMap((file) => file ?? []),
];

/** The file operations that reading policies needs. `list`, `read` and `stamp` reject for an unreadable path. */
export interface PolicyDisk {
  /** Names of the entries of a folder. */
  readonly list: (folder: string) => Promise<readonly string[]>;
  /** The bytes of a regular file; `null` if it exceeds `maxBytes` or is not a regular file. */
  readonly read: (file: string, maxBytes: number) => Promise<Uint8Array | null>;
  /** A fingerprint that changes with a file's content: device, inode, size and times. */
  readonly stamp: (file: string) => Promise<string>;
  /** Why a path is not trusted, such as that others can write to it; `null` if it is. */
  readonly guard: PathGuard;
}

/** The file system, without a guard. */
export const systemDisk: PolicyDisk = Object.freeze({
  list: (folder: string) => readdir(folder),
  read: async (file: string, maxBytes: number) => {
    const about = await stat(file);
    return about.isFile() && about.size <= maxBytes ? readFile(file) : null;
  },
  stamp: async (file: string) => {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(':');
  },
  guard: anyPath,
});

const MAX_FILE_BYTES = 8 * 1024 * 1024;
const MAX_FILES = 1000;
/** So that a large folder does not use up the open files of the process. */
const FILES_AT_ONCE = 16;
const MAX_DESCRIPTOR_SETS = 16;
const MAX_DESCRIPTOR_SET_BYTES = 2 * 1024 * 1024;

/**
 * Reads a policy folder: `actions.yaml` and every `*.yaml` of its folder `actions`, at least one of them; `base.cedarschema`
 * (default: that of this build), `enforcement.yaml`, `limits.yaml`; every `*.cedarentities.json` of the folder and of its folder
 * `entities`; every `*.cedar` and `*.cedarlinks.json` of the folder and of its folder `policies`, each at any depth; and the
 * descriptor sets that the catalog names. A file that looks like one of these and lies elsewhere is a finding (`policyTree`), and
 * so is a file that cannot be read. Limits: 8 MiB per file, 1,000 files, 16 descriptor sets of 2 MiB. A folder that cannot be
 * read is `unreadable`, with the system's error code.
 */
export async function readPolicySource(
  folder: string,
  disk: PolicyDisk = systemDisk,
): Promise<PolicySource | { readonly findings: readonly SourceFinding[] } | { readonly unreadable: string }> {
  const tree = await treeOf(folder, disk);
  if ('unreadable' in tree) return tree;
  const { folders, names, refused } = tree;
  const findings = [...refused].map(([name, problem]) => finding(join(folder, name), problem));
  for (const guarded of folders.map((within) => join(folder, within))) {
    const problem = await disk.guard(guarded);
    if (problem !== null) findings.push(finding(guarded, problem));
  }
  if (names.length > MAX_FILES) findings.push(finding(folder, `a policy folder has at most ${MAX_FILES} files`));
  const files: SourceFile[] = [];
  const read = (name: string): ReturnType<typeof fileFrom> => fileFrom(folder, name, disk);
  for (const file of await mapSeveral(names.slice(0, MAX_FILES), FILES_AT_ONCE, read)) {
    if ('message' in file) findings.push(file);
    else files.push(file);
  }
  if (!names.some(isCatalogFile)) findings.push(finding(join(folder, CATALOG), 'the file is missing'));
  if (findings.length > 0) return { findings };
  const catalogs = files.filter(({ name }) => isCatalogFile(name));
  const schema = files.find(({ name }) => name === SCHEMA_FILE) ?? builtInSchema(folder);
  const policies = files.filter(({ name }) => isPolicyFile(name));
  const entities = files.filter(({ name }) => isEntitiesFile(name));
  const descriptorSets = await descriptorSetsOf(folder, catalogs, disk);
  const generated = await generatedIn(folder, disk);
  const enforcement = files.find(({ name }) => name === ENFORCEMENT);
  const limits = files.find(({ name }) => name === LIMITS);
  return {
    folder,
    catalogs,
    descriptorSets,
    schema,
    policies,
    entities,
    ...(enforcement === undefined ? {} : { enforcement }),
    ...(limits === undefined ? {} : { limits }),
    ...(generated === null ? {} : { generated }),
  };
}

/** The base schema of this build, for a folder without a base schema. */
export const builtInSchema = (folder: string): SourceFile => ({
  name: SCHEMA_FILE,
  file: join(folder, SCHEMA_FILE),
  text: builtInBase(),
});

/** `null` if it cannot be read: no decision depends on it. */
async function generatedIn(folder: string, disk: PolicyDisk): Promise<SourceFile | null> {
  const file = join(folder, GENERATED_SCHEMA);
  try {
    if (!(await disk.list(folder)).includes(GENERATED_SCHEMA)) return null;
    const bytes = await disk.read(file, MAX_FILE_BYTES);
    return bytes === null ? null : { name: GENERATED_SCHEMA, file, text: textFrom(bytes) ?? '' };
  } catch {
    return null;
  }
}

/**
 * A fingerprint that changes whenever `readPolicySource` could read something different. Reads only the catalog. Follows symbolic
 * links, so that it changes when a mounted ConfigMap is swapped.
 */
export async function folderStamp(folder: string, disk: PolicyDisk = systemDisk): Promise<string | Problem> {
  const tree = await treeOf(folder, disk);
  if ('unreadable' in tree) return { problem: `the policy folder could not be read: ${tree.unreadable}` };
  const { names, refused } = tree;
  const own = names.slice(0, MAX_FILES);
  const read = (name: string): ReturnType<typeof fileFrom> => fileFrom(folder, name, disk);
  const catalogs = await mapSeveral(own.filter(isCatalogFile), FILES_AT_ONCE, read);
  const sets = setNamesOf(catalogs.filter((catalog) => 'text' in catalog)).slice(0, MAX_DESCRIPTOR_SETS);
  const stamp = async (name: string): Promise<string> => `${name} ${await stampFrom(join(folder, name), disk)}`;
  const stamps = await mapSeveral([...own, ...sets], FILES_AT_ONCE, stamp);
  return [...stamps, ...refused.keys()].join('\n');
}

async function stampFrom(file: string, disk: PolicyDisk): Promise<string> {
  try {
    return await disk.stamp(file);
  } catch (error) {
    return causeOf(error);
  }
}

async function treeOf(folder: string, disk: PolicyDisk): Promise<PolicyTree | { readonly unreadable: string }> {
  try {
    return await policyTree(folder, disk.list);
  } catch (error) {
    return { unreadable: causeOf(error) };
  }
}

/** The names of the descriptor sets of a catalog, each once, in the order of its files; a catalog beyond its bound is not read to its end. */
const setNamesOf = (catalogs: readonly Pick<SourceFile, 'text'>[]): readonly string[] => [
  ...new Set(catalogWithinBound(catalogs).within.flatMap(({ text }) => descriptorSetNames(text))),
];

/** A file that cannot be read is a problem, which the catalog reports at the place that names the file. */
async function descriptorSetsOf(
  folder: string,
  catalogs: readonly SourceFile[],
  disk: PolicyDisk,
): Promise<DescriptorFiles> {
  const sets = new Map<string, Uint8Array | Problem>();
  for (const [index, name] of setNamesOf(catalogs).entries()) {
    const isOver = index >= MAX_DESCRIPTOR_SETS;
    sets.set(
      name,
      isOver ? { problem: `is more than ${MAX_DESCRIPTOR_SETS}` } : await bytesFrom(join(folder, name), disk),
    );
  }
  return sets;
}

async function bytesFrom(file: string, disk: PolicyDisk): Promise<Uint8Array | Problem> {
  try {
    const bytes = await disk.read(file, MAX_DESCRIPTOR_SET_BYTES);
    const problem = await disk.guard(file);
    if (problem !== null) return { problem };
    return bytes ?? { problem: `must be a regular file of at most ${MAX_DESCRIPTOR_SET_BYTES} bytes` };
  } catch (error) {
    return { problem: `could not be read: ${causeOf(error)}` };
  }
}

async function fileFrom(folder: string, name: string, disk: PolicyDisk): Promise<SourceFile | SourceFinding> {
  const file = join(folder, name);
  try {
    const bytes = await disk.read(file, MAX_FILE_BYTES);
    if (bytes === null) return finding(file, `the file must be a regular file of at most ${MAX_FILE_BYTES} bytes`);
    const text = textFrom(bytes);
    if (text === null) return finding(file, 'the file must be UTF-8');
    if (text.includes('\0')) return finding(file, 'the file contains U+0000');
    const problem = await disk.guard(file);
    if (problem !== null) return finding(file, problem);
    return { name, file, text };
  } catch (error) {
    return finding(file, `the file could not be read: ${causeOf(error)}`);
  }
}

function textFrom(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

const finding = (file: string, message: string): SourceFinding => ({ file, line: 1, column: 1, message, help: null });

const causeOf = (error: unknown): string => errorCode(error) ?? String(error);

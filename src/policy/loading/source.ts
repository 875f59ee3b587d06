import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { descriptorSetNames } from '../../action/catalog-descriptor-sets.ts';
import type { DescriptorFiles } from '../../action/catalog-descriptor-sets.ts';
import type { Finding } from '../../action/finding.ts';
import { anyPath } from '../../config/writable-path.ts';
import type { PathGuard } from '../../config/writable-path.ts';
import { mapSeveral } from '../../runtime/map-several.ts';
import type { Problem } from '../../runtime/problem.ts';

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
  readonly catalog: SourceFile;
  /** The descriptor sets that the catalog names. */
  readonly descriptorSets: DescriptorFiles;
  readonly schema: SourceFile;
  /** Policies, templates and links, by name: `*.cedar` and `*.cedarlinks.json`. */
  readonly policies: readonly SourceFile[];
  /** By name. */
  readonly entities: readonly SourceFile[];
  /** The generated schema beside the base, if present; not part of the set. */
  readonly generated?: SourceFile;
}

/** The file operations that reading policies needs. `list`, `read` and `stamp` reject for an unreadable path. */
export interface PolicyDisk {
  /** Names of the entries of a folder. */
  readonly list: (folder: string) => Promise<readonly string[]>;
  /** The bytes of a regular file; `null` where it exceeds `maxBytes` or is not a regular file. */
  readonly read: (file: string, maxBytes: number) => Promise<Uint8Array | null>;
  /** A fingerprint that changes with a file's content: device, inode, size and times. */
  readonly stamp: (file: string) => Promise<string>;
  /** Why a path is not trusted, such as that others can write to it; `null` where it is. */
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

const CATALOG = 'actions.yaml';
const SCHEMA = 'base.cedarschema';
/** The file that `remit policy schema --write` writes, for editors and `cedar validate`. */
export const GENERATED_SCHEMA = 'remit.cedarschema';
const POLICY_SUFFIX = '.cedar';
const LINKS_SUFFIX = '.cedarlinks.json';
const ENTITIES_SUFFIX = '.cedarentities.json';
const SUBFOLDER = 'policies';
const MAX_FILE_BYTES = 8 * 1024 * 1024;
const MAX_FILES = 1000;
/** So that a large folder does not use up the open files of the process. */
const FILES_AT_ONCE = 16;
const MAX_DESCRIPTOR_SETS = 16;
const MAX_DESCRIPTOR_SET_BYTES = 2 * 1024 * 1024;

/**
 * Reads a policy folder: `actions.yaml`, `base.cedarschema`, every `*.cedarentities.json`; every `*.cedar` and
 * `*.cedarlinks.json` of the folder and of its subfolder `policies`; and the descriptor sets that the catalog names. Ignores
 * names that begin with a dot, and all other files. Limits: 8 MiB per file, 1,000 files, 16 descriptor sets of 2 MiB. A file
 * that cannot be read is a finding; a folder that cannot be read is `unreadable`, with the system's error code.
 */
export async function readPolicySource(
  folder: string,
  disk: PolicyDisk = systemDisk,
): Promise<PolicySource | { readonly findings: readonly Finding[] } | { readonly unreadable: string }> {
  const names = await namesIn(folder, disk);
  if ('unreadable' in names) return names;
  const findings: Finding[] = [];
  const folders = [folder, ...(names.some((name) => name.includes('/')) ? [join(folder, SUBFOLDER)] : [])];
  for (const guarded of folders) {
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
  for (const required of [CATALOG, SCHEMA]) {
    if (!names.includes(required)) findings.push(finding(join(folder, required), 'the file is missing'));
  }
  const catalog = files.find(({ name }) => name === CATALOG);
  const schema = files.find(({ name }) => name === SCHEMA);
  if (findings.length > 0 || catalog === undefined || schema === undefined) return { findings };
  const policies = files.filter(({ name }) => isPolicyFile(name));
  const entities = files.filter(({ name }) => name.endsWith(ENTITIES_SUFFIX));
  const descriptorSets = await descriptorSetsOf(folder, catalog, disk);
  const generated = await generatedIn(folder, disk);
  const found = generated === null ? {} : { generated };
  return { folder, catalog, descriptorSets, schema, policies, entities, ...found };
}

/** `null` where it cannot be read: no decision depends on it. */
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

/** Whether a file of a folder has links of templates. */
export const isLinksFile = (name: string): boolean => name.endsWith(LINKS_SUFFIX);

/** Whether a file of a folder has policies, templates or links. */
export const isPolicyFile = (name: string): boolean => name.endsWith(POLICY_SUFFIX) || isLinksFile(name);

const isSource = (name: string): boolean =>
  !name.startsWith('.') &&
  (name === CATALOG || name === SCHEMA || isPolicyFile(name) || name.endsWith(ENTITIES_SUFFIX));

/**
 * A fingerprint that changes whenever `readPolicySource` could read something different. Reads only the catalog. Follows symbolic
 * links, so that it changes when a mounted ConfigMap is swapped.
 */
export async function folderStamp(folder: string, disk: PolicyDisk = systemDisk): Promise<string | Problem> {
  const names = await namesIn(folder, disk);
  if ('unreadable' in names) return { problem: `the policy folder could not be read: ${names.unreadable}` };
  const catalog = names.includes(CATALOG) ? await fileFrom(folder, CATALOG, disk) : null;
  const sets =
    catalog !== null && 'text' in catalog ? descriptorSetNames(catalog.text).slice(0, MAX_DESCRIPTOR_SETS) : [];
  const stamp = async (name: string): Promise<string> => `${name} ${await stampFrom(join(folder, name), disk)}`;
  return (await mapSeveral([...names.slice(0, MAX_FILES), ...sets], FILES_AT_ONCE, stamp)).join('\n');
}

async function stampFrom(file: string, disk: PolicyDisk): Promise<string> {
  try {
    return await disk.stamp(file);
  } catch (error) {
    return causeOf(error);
  }
}

/** The names of the files to read, sorted by UTF-16 code units. */
async function namesIn(folder: string, disk: PolicyDisk): Promise<readonly string[] | { readonly unreadable: string }> {
  try {
    const entries = await disk.list(folder);
    const names = entries.filter(isSource);
    const within = entries.includes(SUBFOLDER) ? await disk.list(join(folder, SUBFOLDER)) : [];
    const policies = within.filter((name) => isSource(name) && isPolicyFile(name));
    return [...names, ...policies.map((name) => `${SUBFOLDER}/${name}`)].sort();
  } catch (error) {
    return { unreadable: causeOf(error) };
  }
}

/** A file that cannot be read is a problem, which the catalog reports where it names the file. */
async function descriptorSetsOf(folder: string, { text }: SourceFile, disk: PolicyDisk): Promise<DescriptorFiles> {
  const sets = new Map<string, Uint8Array | Problem>();
  for (const [index, name] of descriptorSetNames(text).entries()) {
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

async function fileFrom(folder: string, name: string, disk: PolicyDisk): Promise<SourceFile | Finding> {
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

const finding = (file: string, message: string): Finding => ({ file, line: 1, column: 1, message, help: null });

const causeOf = (error: unknown): string =>
  typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : String(error);

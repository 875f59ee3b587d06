import { join } from 'node:path';
import {
  CATALOG,
  CATALOGS,
  ENFORCEMENT,
  ENTITIES,
  GENERATED_SCHEMA,
  isCatalogFile,
  isPolicyFile,
  isEntitiesFile,
  LIMITS,
  POLICIES,
  SCHEMA_FILE,
} from './source-names.ts';
import { errorCode } from '../../runtime/system/error-code.ts';

/** Lists the names of a folder; rejects with the system's error. */
type List = (folder: string) => Promise<readonly string[]>;

/** What a policy folder has, by names relative to it, with `/` as separator. */
export interface PolicyTree {
  /** The files that are read, sorted by UTF-16 code units. */
  readonly names: readonly string[];
  /** The folders they lie in, relative; `''` is the policy folder. */
  readonly folders: readonly string[];
  /** Files that look as if they were meant to be read, and are not: why, by name. Sorted. */
  readonly refused: ReadonlyMap<string, string>;
}

/** Folders that are skipped: tests, and examples that are policy folders of their own. */
const OTHER_FOLDERS: ReadonlySet<string> = new Set(['examples', 'tests', 'node_modules']);
/** Files of which a policy folder has one, in the folder itself. */
const SINGLE_FILES: ReadonlySet<string> = new Set([CATALOG, SCHEMA_FILE, ENFORCEMENT, LIMITS]);
/** Folders that are read at any depth, each for one kind of files. */
const READ_FOLDERS: ReadonlySet<string> = new Set([POLICIES, CATALOGS, ENTITIES]);
const MAX_DEPTH = 8;
/** So that a link to a large disk is not walked through. */
const MAX_ENTRIES = 10_000;

/**
 * What is to be read of a policy folder: catalog, base schema, entities, enforcement and limits in it; policies and links in it,
 * and in `policies` at any depth; further files of the catalog in `actions` and of entities in `entities`, at any depth too.
 * INVARIANT: no file that looks like one of these is skipped silently: a forbid that is not read would permit. Names that begin
 * with a dot, and the folders `examples`, `tests` and `node_modules` of the policy folder, are skipped.
 */
export async function policyTree(folder: string, list: List): Promise<PolicyTree> {
  const names: string[] = [];
  const folders: string[] = [];
  const refused = new Map<string, string>();
  let entries = 0;
  const walk = async (within: readonly string[], listed: readonly string[]): Promise<void> => {
    const isTop = within.length === 0;
    const isRead = isTop || READ_FOLDERS.has(within[0] ?? '');
    if (isRead) folders.push(within.join('/'));
    for (const name of listed.toSorted()) {
      if (name.startsWith('.') || (isTop && OTHER_FOLDERS.has(name))) continue;
      entries += 1;
      const path = [...within, name].join('/');
      if (entries > MAX_ENTRIES) return void refused.set(path, `a policy folder has at most ${MAX_ENTRIES} entries`);
      const problem = unreadProblem(name, within);
      if (problem !== null) refused.set(path, problem);
      else if (isSource(name, path)) names.push(path);
      else await descend([...within, name]);
    }
  };
  const descend = async (within: readonly string[]): Promise<void> => {
    const listed = await listedIn(join(folder, ...within), list);
    if (listed === null) return;
    const path = within.join('/');
    if (typeof listed === 'string') refused.set(path, `the folder could not be read: ${listed}`);
    else if (within.length > MAX_DEPTH) refused.set(path, `folders of policies are at most ${MAX_DEPTH} deep`);
    else await walk(within, listed);
  };
  await walk([], await list(folder));
  return { names: names.toSorted(), folders, refused: new Map([...refused].toSorted(byName)) };
}

const byName = ([one]: readonly [string, string], [other]: readonly [string, string]): number =>
  one < other ? -1 : one > other ? 1 : 0;

/** Whether a file of that name is read, if nothing is wrong with its place. Others may be folders. */
const isSource = (name: string, path: string): boolean =>
  isPolicyFile(name) || isEntitiesFile(name) || isCatalogFile(path) || SINGLE_FILES.has(path);

/** Why a file that looks like a policy file is not read; `null` if it is read, or is something else. */
function unreadProblem(name: string, within: readonly string[]): string | null {
  const isTop = within.length === 0;
  const [top = ''] = within;
  const lower = name.toLowerCase();
  if (lower.endsWith('.cedar.json')) return 'policies in JSON are not read: write them in `.cedar` files';
  const isMeant = isPolicyFile(lower) || isEntitiesFile(lower);
  if (isMeant && !isPolicyFile(name) && !isEntitiesFile(name)) return 'is not read: write its extension in lower case';
  if (isPolicyFile(name) && !isTop && top !== POLICIES)
    return `is not read: policies lie in the policy folder, or in its folder \`${POLICIES}\``;
  if (isEntitiesFile(name) && !isTop && top !== ENTITIES)
    return `is not read: entities lie in the policy folder, or in its folder \`${ENTITIES}\``;
  if (top.toLowerCase() === CATALOGS && /\.ya?ml$/.test(lower)) {
    if (top !== CATALOGS) return `is not read: the folder of the catalog is \`${CATALOGS}\`, in lower case`;
    return isCatalogFile(`${top}/${name}`) ? null : 'is not read: the name of a file of the catalog ends in `.yaml`';
  }
  const isCatalog = lower === CATALOG || lower === 'actions.yml';
  if (isCatalog && !(isTop && name === CATALOG))
    return `is not read: the catalog is \`${CATALOG}\` of the policy folder itself, and the files of its folder \`${CATALOGS}\``;
  const isEnforcement = lower === ENFORCEMENT || lower === 'enforcement.yml';
  if (isEnforcement && !(isTop && name === ENFORCEMENT))
    return `is not read: what is observed is in \`${ENFORCEMENT}\` of the policy folder itself`;
  const isLimits = lower === LIMITS || lower === 'limits.yml';
  if (isLimits && !(isTop && name === LIMITS))
    return `is not read: limits over all tasks are in \`${LIMITS}\` of the policy folder itself`;
  const isSchema = lower.endsWith('.cedarschema') && name !== GENERATED_SCHEMA;
  if (isSchema && !(isTop && name === SCHEMA_FILE))
    return `is not read: the base schema is \`${SCHEMA_FILE}\` of the policy folder itself`;
  return null;
}

/** The names in a folder; `null` if it is not a folder, and an error code if it cannot be read. */
async function listedIn(folder: string, list: List): Promise<readonly string[] | string | null> {
  try {
    return await list(folder);
  } catch (error) {
    const code = errorCode(error) ?? String(error);
    // A dangling link is not a folder either.
    return code === 'ENOTDIR' || code === 'ENOENT' ? null : code;
  }
}

import { catalogOfFiles } from '../../core/action/catalog/catalog-assembly.ts';
import type { DescriptorSets } from '../../core/action/catalog/catalog-descriptor-sets.ts';
import type { Catalog } from '../../core/action/catalog/catalog.ts';
import { CATALOG } from '../../core/policy/loading/source-names.ts';
import { mergedLines, serverIdsIn } from './beside/merged-catalog.ts';
import { catalogLines } from './catalog-text.ts';
import type { CatalogLine } from './catalog-text.ts';
import type { LearntServer } from './learnt-action.ts';

/** A catalog that loads, and its texts. */
export interface AcceptedCatalog {
  readonly servers: readonly LearntServer[];
  readonly catalog: Catalog;
  /** The files that are written, by name; other files of the base stay as they are. */
  readonly files: ReadonlyMap<string, string>;
  /** Servers that the catalog refuses, with why. */
  readonly refused: readonly { readonly server: string; readonly why: string }[];
}

const MAX_ROUNDS = 50;
/** From this round on, a finding removes its whole server: calls that an agent makes up cannot use up all rounds. */
const PATIENT_ROUNDS = 20;
/** Longest reason that is written. */
const MAX_MESSAGE = 300;

/** The existing catalog (`--policies`): its files by name, and the remarks that it has already. */
export interface BaseCatalog {
  readonly files: ReadonlyMap<string, string>;
  readonly remarks: ReadonlySet<string>;
}

/**
 * The catalog of what was learnt, merged into `base` if that is given. An entry that the catalog refuses (a route that collides
 * with another, an invalid name) or remarks on becomes a comment with the reason. Never wider than `given`: entries are only
 * disabled. `null` if the catalog still does not load after 50 rounds, or if nothing more can be disabled.
 */
export function acceptedCatalog(
  given: readonly LearntServer[],
  sets: DescriptorSets,
  base: BaseCatalog | null = null,
): AcceptedCatalog | null {
  let servers = given;
  const refused: { readonly server: string; readonly why: string }[] = [];
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const lines = linesByFile(servers, base);
    const files = new Map(Array.from(lines, ([name, of]) => [name, `${of.map(({ text }) => text).join('\n')}\n`]));
    // Written files are read last, so that a conflict is reported at the learnt entry, not at the existing entry.
    const kept = [...(base?.files ?? [])].filter(([name]) => !files.has(name));
    const all = new Map([...kept, ...files]);
    const read = catalogOfFiles(
      Array.from(all, ([file, text]) => ({ file, text })),
      sets,
    );
    const found =
      'findings' in read ? read.findings : read.remarks.filter(({ message }) => base?.remarks.has(message) !== true);
    if (!('findings' in read) && found.length === 0) return { servers, catalog: read, files, refused };
    const next = withoutFound(servers, { lines, found, isPatient: round < PATIENT_ROUNDS });
    if (next === null) return null;
    servers = next.servers;
    refused.push(...next.refused);
  }
  return null;
}

/**
 * The lines of each written file: new entries of a server go to the file of `base` that has the server, new servers to
 * `actions.yaml`, which is the last.
 */
function linesByFile(
  servers: readonly LearntServer[],
  base: BaseCatalog | null,
): ReadonlyMap<string, readonly CatalogLine[]> {
  const files = base?.files ?? new Map<string, string>();
  const homes = new Map(
    Array.from(files).flatMap(([name, text]) => serverIdsIn(text).map((id) => [id, name] as const)),
  );
  const byFile = Map.groupBy(servers, ({ id }) => homes.get(id) ?? CATALOG);
  const names = new Set(
    [...[...byFile.keys()].filter((name) => name !== CATALOG), CATALOG].filter(
      (name) => name === CATALOG || byFile.get(name)?.some(({ actions }) => actions.some(isNew)) === true,
    ),
  );
  return new Map(
    Array.from(names).flatMap((name) => {
      const text = files.get(name);
      const learnt = byFile.get(name) ?? [];
      if (text !== undefined) return [[name, mergedLines(text, learnt)] as const];
      return learnt.length === 0 && files.size > 0 ? [] : [[name, catalogLines(learnt)] as const];
    }),
  );
}

const isNew = ({ section }: LearntServer['actions'][number]): boolean => section !== 'known';

interface Found {
  readonly lines: ReadonlyMap<string, readonly CatalogLine[]>;
  readonly found: readonly { readonly file: string; readonly line: number; readonly message: string }[];
  /** Whether a finding about an action disables that action alone; otherwise its whole server is removed. */
  readonly isPatient: boolean;
}

/** The servers without what the findings are about; `null` if nothing more can be disabled. */
function withoutFound(
  servers: readonly LearntServer[],
  { lines, found, isPatient }: Found,
): Pick<AcceptedCatalog, 'servers' | 'refused'> | null {
  const actions = new Map<string, string>();
  const whole = new Map<string, string>();
  let others = '';
  for (const { file, line, message } of found) {
    const about = lines.get(file)?.[line - 1];
    const why = message.slice(0, MAX_MESSAGE);
    if (about === undefined || about.server === null) others = why;
    else if (about.action !== null && isPatient) actions.set(about.action, why);
    else whole.set(about.server, why);
  }
  // A finding at an existing entry: a learnt entry is the cause, and the finding does not say which.
  if (actions.size === 0 && whole.size === 0 && others !== '')
    for (const { id, known } of servers) if (known !== null) whole.set(id, others);
  const left = servers.filter(({ id }) => !whole.has(id)).map((server) => outOfForce(server, actions));
  if (actions.size === 0 && left.length === servers.length) return null;
  return { servers: left, refused: Array.from(whole, ([server, why]) => ({ server, why })) };
}

/** The server with these actions undecided, each with why. */
const outOfForce = (server: LearntServer, why: ReadonlyMap<string, string>): LearntServer => ({
  ...server,
  actions: server.actions.map((action) =>
    action.undecided === null && why.has(action.id)
      ? Object.assign({}, action, { undecided: why.get(action.id) ?? null })
      : action,
  ),
});

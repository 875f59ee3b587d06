import { catalogFrom } from '../../core/action/catalog/catalog-assembly.ts';
import type { DescriptorSets } from '../../core/action/catalog/catalog-descriptor-sets.ts';
import type { Catalog } from '../../core/action/catalog/catalog.ts';
import { catalogLines } from './catalog-text.ts';
import type { CatalogLine } from './catalog-text.ts';
import type { LearntServer } from './learnt-action.ts';

/** A catalog that loads, and its text. */
export interface AcceptedCatalog {
  readonly servers: readonly LearntServer[];
  readonly catalog: Catalog;
  readonly text: string;
  /** Servers that the catalog refuses, with why. */
  readonly refused: readonly { readonly server: string; readonly why: string }[];
}

const FILE = 'actions.yaml';
const MAX_ROUNDS = 50;
/** Longest reason that is written. */
const MAX_MESSAGE = 300;

/**
 * The catalog of what was learnt. What the catalog itself refuses (a route that collides with another, a name that it cannot have), or what it
 * remarks on, becomes a comment with the reason. Never wider than given: entries are only taken out of force.
 */
export function acceptedCatalog(given: readonly LearntServer[], sets: DescriptorSets): AcceptedCatalog | null {
  let servers = given;
  const refused: { readonly server: string; readonly why: string }[] = [];
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const lines = catalogLines(servers);
    const text = `${lines.map((line) => line.text).join('\n')}\n`;
    const read = catalogFrom(text, FILE, sets);
    const found = 'findings' in read ? read.findings : read.remarks;
    if (!('findings' in read) && found.length === 0) return { servers, catalog: read, text, refused };
    const next = withoutFound(servers, lines, found);
    if (next === null) return null;
    servers = next.servers;
    refused.push(...next.refused);
  }
  return null;
}

/** `null` if nothing can be taken out of force. */
function withoutFound(
  servers: readonly LearntServer[],
  lines: readonly CatalogLine[],
  found: readonly { readonly line: number; readonly message: string }[],
): Pick<AcceptedCatalog, 'servers' | 'refused'> | null {
  const actions = new Map<string, string>();
  const whole = new Map<string, string>();
  for (const { line, message } of found) {
    const about = lines[line - 1];
    const why = message.slice(0, MAX_MESSAGE);
    if (about?.action !== undefined && about.action !== null) actions.set(about.action, why);
    else if (about?.server !== undefined && about.server !== null) whole.set(about.server, why);
  }
  if (actions.size === 0 && whole.size === 0) return null;
  return {
    servers: servers.filter(({ id }) => !whole.has(id)).map((server) => outOfForce(server, actions)),
    refused: Array.from(whole, ([server, why]) => ({ server, why })),
  };
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

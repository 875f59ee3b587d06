import { catalogFrom } from '../../core/action/catalog/catalog-assembly.ts';
import type { DescriptorSets } from '../../core/action/catalog/catalog-descriptor-sets.ts';
import type { Catalog } from '../../core/action/catalog/catalog.ts';
import { mergedLines } from './beside/merged-catalog.ts';
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
/** From this round on a finding takes its whole server out of force: no agent can make up so many. */
const PATIENT_ROUNDS = 20;
/** Longest reason that is written. */
const MAX_MESSAGE = 300;

/** The catalog beside which is learnt: its text, and what it is remarked on already. */
export interface BaseCatalog {
  readonly text: string;
  readonly remarks: ReadonlySet<string>;
}

/**
 * The catalog of what was learnt, beside the entries of `base` if that is given. What the catalog itself refuses (a route that collides with
 * another, a name that it cannot have), or what it remarks on, becomes a comment with the reason. Never wider than given: entries are only taken
 * out of force. `null` if that does not help.
 */
export function acceptedCatalog(
  given: readonly LearntServer[],
  sets: DescriptorSets,
  base: BaseCatalog | null = null,
): AcceptedCatalog | null {
  let servers = given;
  const refused: { readonly server: string; readonly why: string }[] = [];
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const lines = base === null ? catalogLines(servers) : mergedLines(base.text, servers);
    const text = `${lines.map((line) => line.text).join('\n')}\n`;
    const read = catalogFrom(text, FILE, sets);
    const found =
      'findings' in read ? read.findings : read.remarks.filter(({ message }) => base?.remarks.has(message) !== true);
    if (!('findings' in read) && found.length === 0) return { servers, catalog: read, text, refused };
    const next = withoutFound(servers, { lines, found, isPatient: round < PATIENT_ROUNDS });
    if (next === null) return null;
    servers = next.servers;
    refused.push(...next.refused);
  }
  return null;
}

interface Found {
  readonly lines: readonly CatalogLine[];
  readonly found: readonly { readonly line: number; readonly message: string }[];
  /** Whether an action is taken out of force by itself. */
  readonly isPatient: boolean;
}

/** `null` if nothing can be taken out of force. */
function withoutFound(
  servers: readonly LearntServer[],
  { lines, found, isPatient }: Found,
): Pick<AcceptedCatalog, 'servers' | 'refused'> | null {
  const actions = new Map<string, string>();
  const whole = new Map<string, string>();
  let others = '';
  for (const { line, message } of found) {
    const about = lines[line - 1];
    const why = message.slice(0, MAX_MESSAGE);
    if (about === undefined || about.server === null) others = why;
    else if (about.action !== null && isPatient) actions.set(about.action, why);
    else whole.set(about.server, why);
  }
  // A finding about an entry that the folder has: an entry that was learnt beside it is the cause, and no line says which.
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

import { descriptorSetsIn } from '../../core/action/catalog/catalog-descriptor-sets.ts';
import type { DescriptorFiles } from '../../core/action/catalog/catalog-descriptor-sets.ts';
import type { PolicySource } from '../../core/policy/loading/source.ts';
import { yamlComment } from '../policy/write/comment.ts';
import { intentText } from '../policy/write/new-intent.ts';
import { acceptedCatalog } from './accepted-catalog.ts';
import type { AcceptedCatalog } from './accepted-catalog.ts';
import type { KnownSet } from './beside/known-set.ts';
import { withLearntServers } from './beside/observed-servers.ts';
import type { ApiDescriptions } from './descriptions/api-descriptions.ts';
import { TO_DECIDE } from './catalog-text.ts';
import { isIntentInForce, learntIntent } from './learnt-intents.ts';
import { learntPermits } from './learnt-permits.ts';
import type { LearntPermits } from './learnt-permits.ts';
import { learntServers } from './learnt-servers.ts';
import type { Observations } from './seen/observations.ts';
import { entitiesText, policyFileText } from './permit-text.ts';
import { freeFileName, safeFileName } from './safe-name.ts';
import { withinCatalog } from './within-catalog.ts';

/** All that was learnt, as files of a policy folder. Tests are added once the policies are loaded. */
export interface LearntFolder extends LearntPermits {
  readonly accepted: AcceptedCatalog;
  /** Texts by name; names have only letters, digits, `-`, `.`, `_` and one `/`. */
  readonly files: ReadonlyMap<string, string>;
  /** The intent file of each agent. */
  readonly intents: ReadonlyMap<string, string>;
  /** The policy file of each server. */
  readonly policyFiles: ReadonlyMap<string, string>;
}

/** What a folder is made with. */
export interface FolderInputs {
  readonly described: ApiDescriptions;
  readonly descriptorFiles: DescriptorFiles;
  /** The existing policy folder (`--policies`); `null` for none. */
  readonly beside: KnownSet | null;
}

/**
 * Makes a policy folder of what calls showed: catalog, entities, policies by server, and an intent of each agent. The same calls make the same
 * files. `null` if the catalog of what was seen cannot be made to load.
 */
export async function learntFolder(
  seen: Observations,
  { described, descriptorFiles, beside }: FolderInputs,
): Promise<LearntFolder | null> {
  const source = beside?.set.source ?? null;
  const all = learntServers(seen, described, beside?.set ?? null);
  const written = Math.max(0, ...(source?.catalogs ?? []).map(({ text }) => text.length));
  const { servers: given, left } = withinCatalog(all, written);
  if (left > 0) seen.leaveOut('to actions that are called seldom, for which a catalog has no room', left);
  const sets = await descriptorSetsIn(new Map([...(source?.descriptorSets ?? []), ...descriptorFiles]));
  const accepted = acceptedCatalog(given, sets, beside?.catalog ?? null);
  if (accepted === null) return null;
  const { servers } = accepted;
  const policies = new Set(beside?.set.policies.map(({ id }) => id));
  const agents = beside?.entities ?? new Set<string>();
  const learnt = learntPermits(servers, { policies, agents });
  const taken = namesIn(source);
  const head = beside === null ? [CATALOG_HEAD, DECIDE_HEAD] : [DECIDE_HEAD];
  const newAgents = [...seen.agents.keys()].filter((agent) => !agents.has(agent));
  const files = new Map<string, string>([
    ...Array.from(accepted.files, ([name, text]) => [name, `${head.map(yamlComment).join('\n')}\n${text}`] as const),
    [freeFileName('learnt.cedarentities.json', taken), entitiesText(learnt.groups, newAgents)],
  ]);
  const observed = source?.enforcement === undefined ? null : withLearntServers(source.enforcement.text, accepted);
  if (observed !== null) files.set('enforcement.yaml', observed);
  const policyFiles = new Map<string, string>();
  const made = learnt.permits.filter(({ isGiven }) => isGiven !== true);
  for (const [server, permits] of Map.groupBy(made, (permit) => permit.server)) {
    const name = freeFileName(`policies/${server}.cedar`, taken);
    policyFiles.set(server, name);
    files.set(name, policyFileText(server, permits));
  }
  const intents = new Map<string, string>();
  const byId = new Map(servers.map((server) => [server.id, server]));
  for (const agent of [...seen.agents.values()].toSorted((one, other) => (one.id < other.id ? -1 : 1))) {
    const intent = learntIntent(agent, learnt.permits, byId);
    if (intent === null) continue;
    const name = `intents/${safeFileName(agent.id)}.yaml`;
    const text = intentText(intent);
    files.set(name, isIntentInForce(intent) ? text : commented(text));
    intents.set(agent.id, name);
  }
  return { ...learnt, accepted, files, intents, policyFiles };
}

/** Names of policy and entity files of the existing folder, which written files must not take. */
const namesIn = (source: PolicySource | null): ReadonlySet<string> =>
  new Set([...(source?.policies ?? []), ...(source?.entities ?? [])].map(({ name }) => name));

const CATALOG_HEAD =
  'What was seen, as a catalog. Made by `remit learn`; the risk of each action is a guess by its name: correct it.';
const DECIDE_HEAD = 'A line that begins with `decide:` is not in force: take these words away to take it over.';

/** An intent without an action in force, all of it to be decided. */
const commented = (text: string): string =>
  text
    .split('\n')
    .map((line) => (line === '' || line.startsWith('#') ? line : `${TO_DECIDE}${line}`))
    .join('\n');

import { descriptorSetsIn } from '../../core/action/catalog/catalog-descriptor-sets.ts';
import type { DescriptorFiles } from '../../core/action/catalog/catalog-descriptor-sets.ts';
import { yamlComment } from '../policy/write/comment.ts';
import { intentText } from '../policy/write/new-intent.ts';
import { acceptedCatalog } from './accepted-catalog.ts';
import type { AcceptedCatalog } from './accepted-catalog.ts';
import type { ApiDescriptions } from './descriptions/api-descriptions.ts';
import { TO_DECIDE } from './catalog-text.ts';
import { isIntentInForce, learntIntent } from './learnt-intents.ts';
import { learntPermits } from './learnt-permits.ts';
import type { LearntPermits } from './learnt-permits.ts';
import { learntServers } from './learnt-servers.ts';
import { learntSuites } from './learnt-cases.ts';
import type { Observations } from './observations.ts';
import { entitiesText, policyFileText } from './permit-text.ts';
import { safeFileName } from './safe-name.ts';

/** All that was learnt, as files of a policy folder beside each other. */
export interface LearntFolder extends LearntPermits {
  readonly accepted: AcceptedCatalog;
  /** Texts by name; names have only letters, digits, `-`, `.`, `_` and one `/`. */
  readonly files: ReadonlyMap<string, string>;
  /** The intent file of each agent. */
  readonly intents: ReadonlyMap<string, string>;
}

/**
 * Makes a policy folder of what calls showed: catalog, entities, policies by server, tests by server, and an intent of each agent. The same calls
 * make the same files. `null` if the catalog of what was seen cannot be made to load.
 */
export async function learntFolder(
  seen: Observations,
  described: ApiDescriptions,
  descriptorFiles: DescriptorFiles = new Map(),
): Promise<LearntFolder | null> {
  const accepted = acceptedCatalog(learntServers(seen, described), await descriptorSetsIn(descriptorFiles));
  if (accepted === null) return null;
  const { servers } = accepted;
  const learnt = learntPermits(servers);
  const byId = new Map(servers.map((server) => [server.id, server]));
  const intents = new Map<string, string>();
  const files = new Map<string, string>([
    ['actions.yaml', `${CATALOG_HEAD.map(yamlComment).join('\n')}\n${accepted.text}`],
    ['learnt.cedarentities.json', entitiesText(learnt.groups, seen.agents.keys())],
  ]);
  for (const [server, permits] of Map.groupBy(learnt.permits, (permit) => permit.server))
    files.set(`policies/${server}.cedar`, policyFileText(server, permits));
  for (const [server, text] of learntSuites(servers, learnt.permits)) files.set(`tests/${server}.test.yaml`, text);
  for (const agent of [...seen.agents.values()].toSorted((one, other) => (one.id < other.id ? -1 : 1))) {
    const intent = learntIntent(agent, learnt.permits, byId);
    if (intent === null) continue;
    const name = `intents/${safeFileName(agent.id)}.yaml`;
    const text = intentText(intent);
    files.set(name, isIntentInForce(intent) ? text : commented(text));
    intents.set(agent.id, name);
  }
  return { ...learnt, accepted, files, intents };
}

const CATALOG_HEAD = [
  'What was seen, as a catalog. Made by `remit learn`; the risk of each action is a guess by its name: correct it.',
  'A line that begins with `decide:` is not in force: take these words away to take it over.',
];

/** An intent without an action in force, all of it to be decided. */
const commented = (text: string): string =>
  text
    .split('\n')
    .map((line) => (line === '' || line.startsWith('#') ? line : `${TO_DECIDE}${line}`))
    .join('\n');

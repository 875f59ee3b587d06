/** Reads `enforcement.yaml` of a policy folder. */
import type { Catalog } from '../../action/catalog/catalog.ts';
import type { SourceFinding } from '../../action/catalog/finding.ts';
import { itemsOf, openYaml, placedOf, valueOf, yamlFields } from '../../action/catalog/yaml-file.ts';
import type { Placed, PlacedNode, YamlFile } from '../../action/catalog/yaml-file.ts';
import { DAY_MS, dayMs, dayOf } from '../../runtime/day.ts';
import { textLike, textOf } from '../../runtime/fields.ts';
import type { ObserveEntry } from '../enforcement.ts';
import { isObservedServer, isOfEverybody, serversHelp } from '../observed-names.ts';
import { agentPattern, entryId, isEmptyNode, nameListOf, reportMissing, reportRepeated } from './named-entries.ts';
import type { SourceFile } from './source.ts';

/** What the file says: its entries in the order of the file, what is wrong, and what is probably a mistake. */
export interface ReadEnforcement {
  readonly observed: readonly ObserveEntry[];
  readonly findings: readonly SourceFinding[];
  readonly warnings: readonly SourceFinding[];
}

/** The longest time that calls are observed. */
const MAX_DAYS = 90;
const MAX_ENTRIES = 200;
const MAX_WORDS = 200;

const KEYS = ['id', 'agents', 'unidentified', 'servers', 'until', 'owner', 'because'] as const;
type Fields = ReadonlyMap<(typeof KEYS)[number], PlacedNode>;

/** The help for each key that an entry must have. */
const REQUIRED: Readonly<Record<'id' | 'until' | 'owner' | 'because', string>> = {
  id: 'a word that is this entry in records and metrics, such as `id: payments-legacy`',
  until: 'the day from which it is enforced, such as `until: 2027-01-31`: nothing is observed without an end',
  owner: 'who brings these agents under their policies, such as `owner: team-payments`',
  because: 'why they are not enforced yet, such as the number of a change: `because: CHG-1234`',
};

const NOTHING: ReadEnforcement = { observed: [], findings: [], warnings: [] };

/**
 * Parses the file. A missing or empty file observes nothing. An entry that has ended is kept, with a warning: it covers nothing any more. An end
 * more than 90 days after `nowMs` is a finding; since ends only come nearer, a set that loaded once keeps loading.
 *
 * @param by.catalog `null` if it could not be read: then the names of servers are not checked
 */
export function enforcementFrom(
  source: Pick<SourceFile, 'file' | 'text'> | undefined,
  by: { readonly catalog: Catalog | null; readonly nowMs: number },
): ReadEnforcement {
  if (source === undefined) return NOTHING;
  const yaml = openYaml(source.text, source.file);
  if (yaml.root.value === null) return { ...NOTHING, findings: yaml.findings };
  const list = yamlFields(yaml, yaml.root, { what: 'the file', required: [], optional: ['observe'] }).get('observe');
  const items = list === undefined || isEmptyNode(list) ? [] : itemsOf(yaml, list, '`observe`');
  if (items.length > MAX_ENTRIES)
    yaml.report(
      yaml.root.offset,
      `\`observe\` has ${items.length} entries`,
      `at most ${MAX_ENTRIES}: join entries of one owner`,
    );
  const entries = items.slice(0, MAX_ENTRIES).flatMap((item) => entryFrom(yaml, item, by) ?? []);
  reportRepeated(
    yaml,
    entries.map(({ id }) => id),
  );
  const warnings = entries.flatMap((entry) => warningsOf(yaml, entry, by));
  return { observed: entries.map(({ entry }) => entry), findings: yaml.findings, warnings };
}

interface PlacedEntry {
  readonly entry: ObserveEntry;
  readonly id: Placed<string>;
  readonly until: Placed<number>;
  readonly servers: readonly Placed<string>[];
}

function entryFrom(
  yaml: YamlFile,
  node: PlacedNode,
  { catalog, nowMs }: { readonly catalog: Catalog | null; readonly nowMs: number },
): PlacedEntry | null {
  const what = 'an entry of `observe`';
  const fields: Fields = yamlFields(yaml, node, { what, required: [], optional: KEYS });
  reportMissing(yaml, node, { what, fields, help: REQUIRED });
  const id = placedOf(yaml, fields.get('id'), { what: '`id`', reader: entryId });
  const until = untilOf(yaml, fields.get('until'), nowMs);
  const owner = valueOf(yaml, fields.get('owner'), { what: '`owner`', reader: words });
  const because = valueOf(yaml, fields.get('because'), { what: '`because`', reader: words });
  const agents = agentsOf(yaml, node, fields);
  const servers = serversOf(yaml, fields.get('servers'), catalog);
  reportTooWide(yaml, node, { agents, hasServers: fields.has('servers') });
  if (id === null || until === null || owner === null || because === null || agents === undefined) return null;
  const { file, line, column } = yaml.findingAt(node.offset, what);
  const entry = {
    id: id.value,
    agents: agents?.map(({ value }) => value) ?? null,
    servers: servers?.map(({ value }) => value) ?? null,
    untilMs: until.value,
    owner,
    because,
    place: { file, line, column },
  };
  return { entry, id, until, servers: servers ?? [] };
}

const words = textLike(`printable, 1 to ${MAX_WORDS} characters`, (value) => /^[^\p{C}]+$/u.test(value), {
  max: MAX_WORDS,
});

function untilOf(yaml: YamlFile, node: PlacedNode | undefined, nowMs: number): Placed<number> | null {
  const until = placedOf(yaml, node, { what: '`until`', reader: dayMs });
  if (until === null || until.value - nowMs <= MAX_DAYS * DAY_MS) return until;
  const latest = dayOf(nowMs + MAX_DAYS * DAY_MS);
  yaml.report(
    until.offset,
    `\`until\` \`${dayOf(until.value)}\` is more than ${MAX_DAYS} days away`,
    `at most \`${latest}\`; an entry can be given a later day when that comes near`,
  );
  return null;
}

/** The agents of an entry; `null` for calls without an identity, `undefined` if it says neither. */
function agentsOf(yaml: YamlFile, node: PlacedNode, fields: Fields): readonly Placed<string>[] | null | undefined {
  const [agents, unidentified] = [fields.get('agents'), fields.get('unidentified')];
  if (agents !== undefined && unidentified !== undefined) {
    yaml.report(unidentified.offset, 'an entry has `agents` or `unidentified`', 'write two entries');
    return undefined;
  }
  if (unidentified !== undefined) {
    return valueOf(yaml, unidentified, { what: '`unidentified`', reader: onlyTrue }) === null ? undefined : null;
  }
  if (agents === undefined) {
    const help = 'write `agents` with patterns of SPIFFE IDs, or `unidentified: true` for calls without an identity';
    yaml.report(node.offset, 'an entry of `observe` names no callers', help);
    return undefined;
  }
  return nameListOf(yaml, agents, { what: '`agents`', noun: 'the agent', reader: agentPattern });
}

const onlyTrue = (value: unknown): true | { readonly problem: string } =>
  value === true ? value : { problem: 'must be `true`: leave it out otherwise' };

/** The servers of an entry; `null` if it names none, for every server. */
function serversOf(
  yaml: YamlFile,
  node: PlacedNode | undefined,
  catalog: Catalog | null,
): readonly Placed<string>[] | null {
  if (node === undefined) return null;
  const servers = nameListOf(yaml, node, { what: '`servers`', noun: 'the server', reader: serverName });
  for (const { value, offset } of servers) {
    if (catalog === null || isObservedServer(value, catalog)) continue;
    const message = `the server \`${value.slice(0, 100)}\` is neither in the catalog nor a host`;
    yaml.report(offset, message, serversHelp(catalog));
  }
  return servers;
}

const serverName = textOf<string>('the id of a server, or a host', (value) => value);

/** An entry for every caller must name servers: otherwise nothing at all would be enforced. */
function reportTooWide(
  yaml: YamlFile,
  node: PlacedNode,
  {
    agents,
    hasServers,
  }: { readonly agents: readonly Placed<string>[] | null | undefined; readonly hasServers: boolean },
): void {
  if (hasServers || agents === undefined) return;
  const help = 'name its `servers`';
  if (agents === null)
    return yaml.report(node.offset, 'an entry for calls without an identity names no `servers`', help);
  const wide = agents.find(({ value }) => isOfEverybody(value));
  if (wide !== undefined)
    yaml.report(wide.offset, `the agents \`${wide.value}\` are all, at every server`, `${help}, or the agents`);
}

function warningsOf(
  yaml: YamlFile,
  { entry, until, servers }: PlacedEntry,
  { catalog, nowMs }: { readonly catalog: Catalog | null; readonly nowMs: number },
): readonly SourceFinding[] {
  const ended = `the entry \`${entry.id}\` ended on ${dayOf(entry.untilMs)}: its calls are enforced`;
  const isEnded = entry.untilMs <= nowMs;
  const known = servers.flatMap(({ value, offset }) => {
    const at = catalog === null || catalog.servers.has(value) ? undefined : ownerOf(catalog, value);
    const message = `the host \`${value}\` is of the server \`${at}\`, whose calls this entry does not cover`;
    return at === undefined ? [] : [yaml.findingAt(offset, message, 'name the server')];
  });
  return [...(isEnded ? [yaml.findingAt(until.offset, ended, 'delete it, with what only it needed')] : []), ...known];
}

const ownerOf = ({ servers }: Catalog, host: string): string | undefined =>
  [...servers.values()].find(({ hosts }) => hosts.has(host))?.id;

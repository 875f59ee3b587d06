import { AttributeTypes } from './attributes.ts';
import type { SourceFinding } from './finding.ts';
import { inReadingOrder } from './finding.ts';
import { noDescriptorSets } from './catalog-descriptor-sets.ts';
import type { DescriptorSets } from './catalog-descriptor-sets.ts';
import { remarksOn } from './catalog-remarks.ts';
import type { CatalogRemark } from './catalog-remarks.ts';
import { readCatalog } from './catalog-file.ts';
import type { CatalogEntries, ServerEntry } from './catalog-file.ts';
import { claimPlaces, externalUrlOf, looseUri, placeRemarks } from './server-places.ts';
import { ServerTable } from './server-table.ts';
import { RouteTable } from './route-table.ts';
import { mergedValues } from './named-values.ts';
import { MAX_SUBJECT_ATTRIBUTES } from './subject-attribute-types.ts';
import { MAX_ZONES } from './time-zones.ts';
import { elsewhere } from './written-at.ts';
import type { WrittenAt } from './written-at.ts';
import { openYaml } from './yaml-file.ts';
import { addActions } from './catalog-actions.ts';
import { catalogWithinBound, MAX_CATALOG_BYTES } from './catalog-size.ts';
import type { Server, CatalogAction, RouteTarget, Catalog } from './catalog.ts';

/** Most actions; more is a finding. */
export const MAX_ACTIONS = 10_000;

/** Parses a catalog of one file, such as `actions.yaml`, as `catalogOfFiles` does. @param file its name in findings */
export const catalogFrom = (
  text: string,
  file: string,
  descriptorSets: DescriptorSets = noDescriptorSets,
): Catalog | { readonly findings: readonly SourceFinding[] } => catalogOfFiles([{ text, file }], descriptorSets);

/**
 * Parses the files of a catalog as one: servers with hosts, audience, HTTP routes, MCP tools, gRPC and A2A methods. All or
 * nothing: the catalog, or all findings. What two files define is a finding that names both places. Limits: 1 MiB for a file, 4
 * MiB and 10,000 actions in all, no YAML aliases. Above 4 MiB nothing is parsed.
 *
 * @param files in the order of their entries, each with its name in findings
 * @param descriptorSets those that the files name, from `descriptorSetsIn`; default: none
 */
export function catalogOfFiles(
  files: readonly { readonly text: string; readonly file: string }[],
  descriptorSets: DescriptorSets = noDescriptorSets,
): Catalog | { readonly findings: readonly SourceFinding[] } {
  const { beyond } = catalogWithinBound(files);
  if (beyond !== null) {
    const message = `the files of the catalog have more than ${MAX_CATALOG_BYTES} bytes together`;
    return { findings: [{ file: beyond.file, line: 1, column: 1, message, help: null }] };
  }
  const opened = files.map(({ text, file }) => openYaml(text, file));
  const read = opened.map((yaml) => readCatalog(yaml, descriptorSets));
  const catalog = assemble(read);
  if (catalog.actions.size > MAX_ACTIONS)
    opened.at(-1)?.report(0, `a catalog has at most ${MAX_ACTIONS} actions, this catalog ${catalog.actions.size}`);
  const findings = opened.flatMap((yaml) => yaml.findings);
  return findings.length > 0 ? { findings: inReadingOrder(findings) } : catalog;
}

/** The entries of all files by server; a server of two files is a finding, and the first counts. */
function serverEntries(files: readonly CatalogEntries[]): ReadonlyMap<string, ServerEntry> {
  const entries = new Map<string, ServerEntry>();
  for (const entry of files.flatMap(({ servers }) => servers)) {
    const { id, yaml } = entry;
    const first = entries.get(id.value);
    if (first === undefined) entries.set(id.value, entry);
    else {
      const at = elsewhere({ yaml: first.yaml, offset: first.id.offset }, yaml);
      yaml.report(id.offset, `the server \`${id.value}\` is defined twice: first${at}`, 'a server has one file');
    }
  }
  return entries;
}

function assemble(files: readonly CatalogEntries[]): Catalog {
  const entries = serverEntries(files);
  const servers = new Map<string, Server>();
  const actions = new Map<string, CatalogAction>();
  const actionPlaces = new Map<string, WrittenAt>();
  const places = new ServerTable<Server>();
  const placed: ServerEntry[] = [];
  const attributeTypes = new AttributeTypes();
  const audiences = new Map<string, Server>();
  const tables = new Map<Server, RouteTable<RouteTarget>>();
  const remarks: CatalogRemark[] = [];
  for (const entry of entries.values()) {
    const { yaml } = entry;
    const server: Server = {
      id: entry.id.value,
      hosts: new Set(entry.hosts.map((host) => host.value)),
      paths: entry.paths.map((path) => path.value.text),
      audience: entry.audience.value,
      externalUrl: externalUrlOf(entry),
      transactionToken: entry.transactionToken,
      exactPaths: entry.exactPaths,
      attributes: entry.attributes,
    };
    servers.set(server.id, server);
    attributeTypes.check(server.attributes, { id: server.id, offset: entry.id.offset }, yaml);
    if (claimPlaces(places, entry, { server, entries })) placed.push(entry);
    claimAudience(audiences, entry, { server, entries });
    const table = new RouteTable<RouteTarget>(server.exactPaths);
    tables.set(server, table);
    addActions(entry, { server, actions, actionPlaces, table, attributeTypes, yaml });
    remarks.push(...entry.routes.flatMap((route) => remarksOn(route, table, yaml)));
  }
  remarks.push(...placeRemarks(placed, { servers, places }));
  return {
    servers,
    actions,
    serverAt: (host, segments) => places.find(host, segments),
    serversByAudience: new Map(Array.from(audiences.values(), (server) => [server.audience, server])),
    audiences: new Set(Array.from(audiences.values(), ({ audience }) => audience)),
    timeZones: mergedValues(
      files.map(({ timeZones }) => timeZones),
      { what: 'the time zone', max: MAX_ZONES },
    ),
    subjectAttributes: mergedValues(
      files.map(({ subjectAttributes }) => subjectAttributes),
      { what: 'the subject attribute', max: MAX_SUBJECT_ATTRIBUTES },
    ),
    remarks: inReadingOrder(remarks),
    find: (server, method, segments) => targetOf(tables.get(server)?.find(method, segments)),
  };
}

function targetOf(found: ReturnType<RouteTable<RouteTarget>['find']>): RouteTarget | undefined {
  if (found === undefined || found.takenFor === null || found.target.kind !== 'http') return found?.target;
  return { kind: 'lookalike', action: found.target.action, of: found.takenFor };
}

/** @param claimed keyed by `looseUri` */
function claimAudience(
  claimed: Map<string, Server>,
  { audience: { value, offset }, yaml }: ServerEntry,
  { server, entries }: { readonly server: Server; readonly entries: ReadonlyMap<string, ServerEntry> },
): void {
  const other = claimed.get(looseUri(value));
  if (other === undefined) return void claimed.set(looseUri(value), server);
  const entry = entries.get(other.id);
  const at = elsewhere(entry && { yaml: entry.yaml, offset: entry.audience.offset }, yaml);
  const message =
    other.audience === value
      ? `the audience \`${value}\` already belongs to the server \`${other.id}\``
      : `the audience \`${value}\` can be taken for \`${other.audience}\` of the server \`${other.id}\``;
  yaml.report(offset, `${message}${at}`);
}

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
import type { Placed, YamlFile } from './yaml-file.ts';
import { openYaml } from './yaml-file.ts';
import { addActions } from './catalog-actions.ts';
import type { Server, CatalogAction, RouteTarget, Catalog } from './catalog.ts';

/** Most actions; more is a finding. */
export const MAX_ACTIONS = 10_000;

/**
 * Parses `actions.yaml`: servers with hosts, audience, HTTP routes, MCP tools, gRPC and A2A methods. All or nothing: the
 * catalog, or all findings. Limits: 1 MiB, 10,000 actions, no YAML aliases.
 *
 * @param file its name in findings
 * @param descriptorSets those it names, by `descriptorSetsIn`
 */
export function catalogFrom(
  text: string,
  file: string,
  descriptorSets: DescriptorSets = noDescriptorSets,
): Catalog | { readonly findings: readonly SourceFinding[] } {
  const yaml = openYaml(text, file);
  const entries = readCatalog(yaml, descriptorSets);
  const catalog = assemble(entries, yaml);
  return yaml.findings.length > 0 ? { findings: inReadingOrder(yaml.findings) } : catalog;
}

function assemble({ servers: entries, timeZones, subjectAttributes }: CatalogEntries, yaml: YamlFile): Catalog {
  const servers = new Map<string, Server>();
  const actions = new Map<string, CatalogAction>();
  const places = new ServerTable<Server>();
  const placed: ServerEntry[] = [];
  const attributeTypes = new AttributeTypes();
  const audiences = new Map<string, Server>();
  const tables = new Map<Server, RouteTable<RouteTarget>>();
  const remarks: CatalogRemark[] = [];
  for (const entry of entries) {
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
    if (claimPlaces(places, entry, { server, yaml })) placed.push(entry);
    claimAudience(audiences, entry.audience, { server, yaml });
    const table = new RouteTable<RouteTarget>(server.exactPaths);
    tables.set(server, table);
    addActions(entry, { server, actions, table, attributeTypes, yaml });
    remarks.push(...entry.routes.flatMap((route) => remarksOn(route, table, yaml)));
  }
  remarks.push(...placeRemarks(placed, { servers, places, yaml }));
  if (actions.size > MAX_ACTIONS)
    yaml.report(0, `a catalog has at most ${MAX_ACTIONS} actions, this catalog ${actions.size}`);
  return {
    servers,
    actions,
    serverAt: (host, segments) => places.find(host, segments),
    serversByAudience: new Map(Array.from(audiences.values(), (server) => [server.audience, server])),
    audiences: new Set(Array.from(audiences.values(), ({ audience }) => audience)),
    timeZones,
    subjectAttributes,
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
  { value, offset }: Placed<string>,
  { server, yaml }: { readonly server: Server; readonly yaml: YamlFile },
): void {
  const other = claimed.get(looseUri(value));
  if (other === undefined) claimed.set(looseUri(value), server);
  else if (other.audience === value)
    yaml.report(offset, `the audience \`${value}\` already belongs to the server \`${other.id}\``);
  else
    yaml.report(
      offset,
      `the audience \`${value}\` can be taken for \`${other.audience}\` of the server \`${other.id}\``,
    );
}

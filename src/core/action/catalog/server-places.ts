import type { ServerEntry } from './catalog-file.ts';
import type { CatalogRemark } from './catalog-remarks.ts';
import type { ServerAtPath, ServerTable } from './server-table.ts';
import type { PathTemplate } from './template.ts';
import { elsewhere } from './written-at.ts';
import type { WrittenAt } from './written-at.ts';
import type { Placed, YamlFile } from './yaml-file.ts';
import { withoutEnd } from '../../runtime/without-end.ts';

type Places = ServerTable<ServerAtPath>;

/** Adds a server at each of its hosts and paths. A place taken by another server is a finding. Returns whether all were free. */
export function claimPlaces<Server extends ServerAtPath>(
  places: ServerTable<Server>,
  { hosts, paths, yaml }: ServerEntry,
  { server, entries }: { readonly server: Server; readonly entries: ReadonlyMap<string, ServerEntry> },
): boolean {
  const claims = hosts.flatMap((host) => [
    ...(paths.length === 0 ? [{ host, path: null }] : []),
    ...paths.map((path) => ({ host, path })),
  ]);
  const taken = claims.flatMap(({ host, path }) => {
    const found = places.add({ host: host.value, path: path === null ? [] : literalsOf(path.value) }, server);
    return found === null ? [] : [{ host, path, same: `/${found.path.join('/')}`, owner: found.other.id }];
  });
  for (const { host, path, same, owner } of taken) {
    const at = elsewhere(hostPlaceOf(entries.get(owner), host.value), yaml);
    if (path === null) {
      const help = 'two servers of one host are distinguished by `paths`';
      yaml.report(host.offset, `the host \`${host.value}\` already belongs to the server \`${owner}\`${at}`, help);
    } else if (same === path.value.text) {
      const what = `the path \`${same}\` of the host \`${host.value}\``;
      yaml.report(path.offset, `${what} already belongs to the server \`${owner}\`${at}`);
    } else {
      const problem = `the path \`${path.value.text}\` can be taken for \`${same}\` of the server \`${owner}\`${at}`;
      yaml.report(path.offset, problem, 'write `exactPaths: true` at both if what routes them tells case apart');
    }
  }
  return taken.length === 0;
}

/** Where a server is given a host. */
function hostPlaceOf(entry: ServerEntry | undefined, host: string): WrittenAt | undefined {
  if (entry === undefined) return undefined;
  const { hosts, id, yaml } = entry;
  return { yaml, offset: hosts.find(({ value }) => value === host)?.offset ?? id.offset };
}

const literalsOf = ({ segments }: PathTemplate): readonly string[] =>
  segments.flatMap((segment) => ('literal' in segment ? [segment.literal] : []));

/** Reports routes outside their server's paths. Returns remarks on parameters that can match another server's path. */
export function placeRemarks(
  entries: readonly ServerEntry[],
  of: { readonly servers: ReadonlyMap<string, ServerAtPath>; readonly places: Places },
): readonly CatalogRemark[] {
  return entries.flatMap((entry) => {
    const server = of.servers.get(entry.id.value);
    if (server === undefined) return [];
    return placedIn(entry).flatMap((template) => {
      for (const { value: host } of entry.hosts) {
        if (reportMisplaced({ entry, host, server, template }, of)) return [];
        const found = of.places.lookalikeOf(host, template.value, server);
        if (found !== null) return [lookalikeServer(template, found, entry.yaml)];
      }
      return [];
    });
  });
}

const placedIn = ({ routes, grpc, mcp, a2a }: ServerEntry): readonly Placed<PathTemplate>[] => [
  ...routes.map(({ template }) => template),
  ...grpc.map(({ path }) => path),
  ...[mcp, a2a].flatMap((endpoint) => endpoint?.path ?? []),
];

function reportMisplaced(
  {
    entry,
    host,
    server,
    template,
  }: {
    readonly entry: ServerEntry;
    readonly host: string;
    readonly server: ServerAtPath;
    readonly template: Placed<PathTemplate>;
  },
  { places }: { readonly places: Places },
): boolean {
  const { yaml } = entry;
  const at = places.findTemplate(host, template.value);
  const shown = `the path \`${template.value.text}\``;
  if (at.kind === 'unknown-path') {
    const own = entry.paths.map(({ value }) => `\`${value.text}\``).join(', ');
    yaml.report(
      template.offset,
      `${shown} is not below ${own} of its server`,
      'the path of a route is the whole path of a call',
    );
    return true;
  }
  const other = at.kind === 'lookalike' ? at.of : at.kind === 'server' ? at.server : server;
  if (other === server) return false;
  const problem = `${shown} ${at.kind === 'lookalike' ? 'can be taken for one' : 'is one'} of the server \`${other.id}\` at \`${host}\``;
  yaml.report(template.offset, problem, 'a call goes to the server of the host with the longest matching path');
  return true;
}

function lookalikeServer(
  { value: { text }, offset }: Placed<PathTemplate>,
  found: { readonly of: ServerAtPath; readonly parameter: string; readonly literal: string },
  yaml: YamlFile,
): CatalogRemark {
  const { of, parameter, literal } = found;
  const message = `\`{${parameter}}\` of \`${text}\` can match \`${literal}\` in another spelling, which may lead to the server \`${of.id}\`: such calls are refused`;
  const help = `give the parameter a type without such values, as in \`{${parameter}:uuid}\` or \`{${parameter}:int}\`; or write \`exactPaths: true\` at a server whose router tells case, extension and \`:verb\` apart`;
  return { rule: 'lookalike-path', ...yaml.findingAt(offset, message, help) };
}

/**
 * The URL prefix callers use: the audience without its longest suffix that is a path of the server.
 *
 * @example `https://gw.acme.test` for the audience `https://gw.acme.test/crm` and the path `/crm`
 */
export function externalUrlOf({ audience, paths }: Pick<ServerEntry, 'audience' | 'paths'>): string {
  const url = withoutEnd(audience.value, '/');
  const path = url.slice(new URL(url).origin.length);
  const end = paths
    .map(({ value }) => value.text)
    .filter((each) => path.endsWith(each))
    .sort((one, other) => other.length - one.length)[0];
  return end === undefined ? audience.value : url.slice(0, -end.length);
}

/** Normalises a URI as the least exact comparison does: no trailing slash, lower case. */
export const looseUri = (uri: string): string => withoutEnd(uri, '/').toLowerCase();

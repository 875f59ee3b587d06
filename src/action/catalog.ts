import type { Finding } from './finding.ts';
import { inReadingOrder } from './finding.ts';
import { readCatalog } from './catalog-file.ts';
import type { ActionEntry, ArgumentSpec, CredentialKind, Risk, ServerEntry } from './catalog-file.ts';
import { Routes } from './routes.ts';
import type { YamlFile } from './yaml-file.ts';
import { openYaml } from './yaml-file.ts';

export type { ArgumentSpec, CredentialKind, Risk } from './catalog-file.ts';

/** A downstream server, in the operator's words. */
export interface Server {
  readonly id: string;
  /** Lower case, without port. No host belongs to two servers. */
  readonly hosts: ReadonlySet<string>;
  /** The resource URI its tokens are issued for. No two servers share one. */
  readonly audience: string;
  /** Whether calls to it carry a transaction token, so that what stands behind it knows the task. */
  readonly transactionToken: boolean;
}

/** What an agent can do, in the operator's words. */
export interface CatalogAction {
  readonly id: string;
  readonly risk: Risk;
  readonly server: Server;
  readonly method: string;
  /** `/v1/payments/{id}` */
  readonly template: string;
  /** Of a path parameter, the index of its segment. */
  readonly parameters: ReadonlyMap<string, number>;
  /** What it can be called with. */
  readonly accepts: ReadonlySet<CredentialKind>;
  readonly args: readonly ArgumentSpec[];
}

/** The action catalog: everything a call can be. What it does not name is `action.unknown`. */
export interface Catalog {
  readonly servers: ReadonlyMap<string, Server>;
  readonly actions: ReadonlyMap<string, CatalogAction>;
  readonly serversByHost: ReadonlyMap<string, Server>;
  readonly serversByAudience: ReadonlyMap<string, Server>;
  /** Every audience of the catalog. */
  readonly audiences: ReadonlySet<string>;
  /** The action a method and path segments on a server come to. */
  readonly find: (server: Server, method: string, segments: readonly string[]) => CatalogAction | undefined;
}

/** At most this many actions; more is a finding. */
export const MAX_ACTIONS = 10_000;

/**
 * Reads `actions.yaml`: servers with their hosts, audience and HTTP routes. All or nothing: the catalog, or everything
 * that is wrong with it. Bounds: 1 MiB, 10,000 actions, no YAML aliases.
 *
 * @param file its name in findings
 */
export function catalogFrom(text: string, file: string): Catalog | { readonly findings: readonly Finding[] } {
  const yaml = openYaml(text, file);
  const entries = readCatalog(yaml);
  const catalog = assemble(entries, yaml);
  return yaml.findings.length > 0 ? { findings: inReadingOrder(yaml.findings) } : catalog;
}

function assemble(entries: readonly ServerEntry[], yaml: YamlFile): Catalog {
  const servers = new Map<string, Server>();
  const actions = new Map<string, CatalogAction>();
  const serversByHost = new Map<string, Server>();
  const serversByAudience = new Map<string, Server>();
  const routes = new Map<Server, Routes<CatalogAction>>();
  for (const entry of entries) {
    const server: Server = {
      id: entry.id.value,
      hosts: new Set(entry.hosts.map((host) => host.value)),
      audience: entry.audience.value,
      transactionToken: entry.transactionToken,
    };
    servers.set(server.id, server);
    for (const host of entry.hosts) claim(serversByHost, host, { server, what: 'host', yaml });
    claim(serversByAudience, entry.audience, { server, what: 'audience', yaml });
    const table = new Routes<CatalogAction>();
    routes.set(server, table);
    for (const action of entry.actions) addAction(action, { server, actions, table, yaml });
  }
  if (actions.size > MAX_ACTIONS)
    yaml.report(0, `a catalog has at most ${MAX_ACTIONS} actions, this one ${actions.size}`);
  return {
    servers,
    actions,
    serversByHost,
    serversByAudience,
    audiences: new Set(serversByAudience.keys()),
    find: (server, method, segments) => routes.get(server)?.find(method, segments),
  };
}

function claim(
  claimed: Map<string, Server>,
  name: { readonly value: string; readonly offset: number },
  by: { readonly server: Server; readonly what: string; readonly yaml: YamlFile },
): void {
  const other = claimed.get(name.value);
  if (other === undefined) claimed.set(name.value, by.server);
  else by.yaml.report(name.offset, `the ${by.what} \`${name.value}\` already belongs to the server \`${other.id}\``);
}

function addAction(
  entry: ActionEntry,
  into: {
    readonly server: Server;
    readonly actions: Map<string, CatalogAction>;
    readonly table: Routes<CatalogAction>;
    readonly yaml: YamlFile;
  },
): void {
  const { server, actions, table, yaml } = into;
  const action: CatalogAction = {
    id: entry.id.value,
    risk: entry.risk,
    server,
    method: entry.method,
    template: entry.template.value.text,
    parameters: new Map(
      entry.template.value.segments.flatMap((segment, index) =>
        'parameter' in segment ? [[segment.parameter, index] as const] : [],
      ),
    ),
    accepts: entry.accepts,
    args: entry.args,
  };
  if (actions.has(action.id)) return yaml.report(entry.id.offset, `the action \`${action.id}\` is defined twice`);
  actions.set(action.id, action);
  const collision = table.add(action.method, entry.template.value, action);
  if (collision === null) return;
  const { id, method, template } = collision.collidesWith;
  yaml.report(
    entry.template.offset,
    `\`${action.method} ${action.template}\` overlaps with \`${method} ${template}\` of \`${id}\``,
    'of two routes that share paths, one must be more specific in every segment',
  );
}

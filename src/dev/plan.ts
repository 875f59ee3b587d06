import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { CatalogAction, Server } from '../core/action/catalog/catalog.ts';
import { isDeny } from '../core/decision/decision.ts';
import { spiffeIdFrom, trustDomainOf } from '../core/identity/spiffe-id.ts';
import type { SpiffeId } from '../core/identity/spiffe-id.ts';
import { compileInWorker } from '../core/policy/loading/compile.ts';
import { borrowingDisk } from '../core/policy/loading/borrowed-source.ts';
import { loadPolicies } from '../core/policy/loading/load.ts';
import type { PolicySet } from '../core/policy/loading/load.ts';
import { systemDisk, sourceTexts } from '../core/policy/loading/source.ts';
import type { PolicySource } from '../core/policy/loading/source.ts';
import { readSuites } from '../tools/policy/cases/suite-source.ts';
import type { TestCase } from '../tools/policy/cases/test-case.ts';
import { agentsOf, trialsOf } from './attempts.ts';
import type { AttemptToTry } from './attempts.ts';
import type { BinaryProblem } from './envoy-binary.ts';
import type { HostPort } from '../tools/init/envoy-config.ts';
import type { OwnServer, RoutedServer } from '../tools/init/server-routes.ts';

/** A trust domain for a policy folder. */
export interface DomainPlan {
  /** The policy folder in use. */
  readonly policies: string;
  readonly trustDomain: string;
  /** Further agents with an SVID, by file name. */
  readonly agents: ReadonlyMap<string, SpiffeId>;
  /** Agents of other trust domains, without an SVID. */
  readonly strangers: readonly SpiffeId[];
  readonly servers: readonly RoutedServer[];
  /** The resource of each server of the catalog, by its name: what tokens for it are issued for. */
  readonly resources: ReadonlyMap<string, string>;
  readonly trials: readonly AttemptToTry[];
}

/** The trust domain of the demo. */
export const DEFAULT_TRUST_DOMAIN = 'acme.test';

/**
 * What a policy folder needs for a trust domain. That is a route to each server of its catalog, an SVID for each agent it names, and calls to try. The
 * folder is watched in place; with `base`, missing files are added once, in a copy in `scratch`. A folder that does not load is
 * a problem.
 */
export async function planFor(
  folder: string,
  {
    base,
    scratch,
    nowMs,
    upstreams = new Map(),
  }: {
    readonly base?: string;
    readonly scratch: string;
    readonly nowMs: number;
    /** Servers of the user's own, by the name of a server of the catalog. Default none. */
    readonly upstreams?: ReadonlyMap<string, HostPort>;
  },
): Promise<DomainPlan | BinaryProblem> {
  const disk = base === undefined ? systemDisk : borrowingDisk(folder, base);
  const policies = await loadPolicies(folder, { disk, compile: compileInWorker() });
  if ('findings' in policies) {
    const lines = policies.findings.map(({ file, line, column, message }) => `${file}:${line}:${column}: ${message}`);
    return { problem: lines.join('\n') };
  }
  const unknown = [...upstreams.keys()].find((name) => !policies.catalog.servers.has(name));
  if (unknown !== undefined) {
    const known = [...policies.catalog.servers.keys()].join(', ');
    return { problem: `the catalog has no server \`${unknown}\`; it has ${known}` };
  }
  const suites = await readSuites(folder);
  const cases: readonly TestCase[] = 'findings' in suites ? [] : suites.cases;
  const named = agentsOf(policies, cases);
  const trustDomain = mostFrequent(named.map(trustDomainOf)) ?? DEFAULT_TRUST_DOMAIN;
  const agents = filesOf(named.filter((id) => trustDomainOf(id) === trustDomain));
  const tried =
    agents.size > 0
      ? [...agents.values()]
      : [spiffeIdFrom(`spiffe://${trustDomain}/ns/agents/sa/planner`)].filter((id): id is SpiffeId => !isDeny(id));
  return {
    policies: base === undefined ? folder : await written(policies.source, join(scratch, 'policies')),
    trustDomain,
    agents,
    strangers: named.filter((id) => trustDomainOf(id) !== trustDomain),
    servers: serversOf(policies, upstreams),
    resources: new Map(Array.from(policies.catalog.servers, ([name, { audience }]) => [name, audience])),
    trials: trialsOf(policies, { agents: tried, cases, nowMs }),
  };
}

function mostFrequent(names: readonly string[]): string | undefined {
  const counted = [...Map.groupBy(names, (name) => name)].toSorted(([, a], [, b]) => b.length - a.length);
  return counted[0]?.[0];
}

/** File names: the last part of the id, with a number if it is taken. */
function filesOf(ids: readonly SpiffeId[]): ReadonlyMap<string, SpiffeId> {
  const names = new Map<string, SpiffeId>();
  for (const id of ids) {
    const last = (id.split('/').at(-1) ?? '').replaceAll(/[^A-Za-z0-9_-]/g, '-').slice(0, 40);
    const isTaken = (name: string): boolean =>
      names.has(name) || (isOfDomain(name) && !id.endsWith(`/ns/agents/sa/${name}`));
    let name = last;
    for (let number = 2; isTaken(name); number++) name = `${last}-${number}`;
    names.set(name, id);
  }
  return names;
}

const OF_DOMAIN = new Set([
  'planner',
  'reporter',
  'thief',
  'gateway',
  'remit',
  'bundle',
  'other-bundle',
  'signing-key',
]);
const isOfDomain = (name: string): boolean => OF_DOMAIN.has(name);

const serversOf = ({ catalog }: PolicySet, upstreams: ReadonlyMap<string, HostPort>): readonly RoutedServer[] =>
  Array.from(catalog.servers, ([name, server]) => ({
    hosts: [...server.hosts],
    own: ownServerOf(upstreams.get(name), actionsOf(catalog, server)),
    streams: actionsOf(catalog, server).flatMap(streamOf),
    streamed: [...new Set(actionsOf(catalog, server).flatMap(streamedOf))],
  }));

/** A server of gRPC speaks HTTP/2 alone. */
const ownServerOf = (at: HostPort | undefined, actions: readonly CatalogAction[]): OwnServer | null =>
  at === undefined ? null : { ...at, isHttp2: actions.some(({ kind }) => kind === 'grpc') };

const actionsOf = ({ actions }: PolicySet['catalog'], server: Server): readonly CatalogAction[] =>
  [...actions.values()].filter((action) => action.server === server);

const streamedOf = ({ kind, template }: CatalogAction): readonly string[] =>
  kind === 'mcp' || kind === 'a2a' ? [template] : [];

/** A gRPC method without arguments is decided on headers and may be a stream. */
const streamOf = ({ kind, message, template }: CatalogAction): readonly string[] =>
  kind === 'grpc' && message === null ? [template] : [];

async function written(source: PolicySource, folder: string): Promise<string> {
  const texts = sourceTexts(source).map(({ name, text }) => [name, text] as const);
  const sets = [...source.descriptorSets].flatMap(([name, bytes]) =>
    bytes instanceof Uint8Array ? [[name, bytes] as const] : [],
  );
  for (const [name, content] of [...texts, ...sets]) {
    const file = join(folder, name);
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(file, content, { mode: 0o600 });
  }
  return folder;
}

import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { CatalogAction } from '../action/catalog.ts';
import { isDeny } from '../decision/decision.ts';
import { spiffeIdFrom, trustDomainOf } from '../identity/spiffe-id.ts';
import type { SpiffeId } from '../identity/spiffe-id.ts';
import { compileInWorker } from '../policy/loading/compile.ts';
import { borrowingDisk } from '../policy/loading/borrowed-source.ts';
import { loadPolicies } from '../policy/loading/load.ts';
import type { PolicySet } from '../policy/loading/load.ts';
import { systemDisk } from '../policy/loading/source.ts';
import type { PolicySource } from '../policy/loading/source.ts';
import { readSuites } from '../policy-tools/tests/suite-source.ts';
import type { TestCase } from '../policy-tools/tests/test-case.ts';
import { agentsOf, trialsOf } from './attempts.ts';
import type { AttemptToTry } from './attempts.ts';
import type { BinaryProblem } from './envoy-binary.ts';
import type { RoutedServer } from './server-routes.ts';

/** A trust domain that fits a policy folder. */
export interface DomainPlan {
  /** The folder that is decided by. */
  readonly policies: string;
  readonly trustDomain: string;
  /** The agents that get an SVID beside those of the story, by the name of its files. */
  readonly agents: ReadonlyMap<string, SpiffeId>;
  /** Agents of other trust domains, which get none. */
  readonly strangers: readonly SpiffeId[];
  readonly servers: readonly RoutedServer[];
  readonly trials: readonly AttemptToTry[];
}

/** Of the trust domain of the demo. */
export const DEFAULT_TRUST_DOMAIN = 'acme.test';

/**
 * What a policy folder needs of a trust domain: a route to each server of its catalog, an SVID for each agent that it names, and calls
 * to try. The folder is watched as it is; with `base` it is put together with what it lacks, once, in `scratch`. A folder that does
 * not load is a problem.
 */
export async function planFor(
  folder: string,
  { base, scratch, nowMs }: { readonly base?: string; readonly scratch: string; readonly nowMs: number },
): Promise<DomainPlan | BinaryProblem> {
  const disk = base === undefined ? systemDisk : borrowingDisk(folder, base);
  const policies = await loadPolicies(folder, { disk, compile: compileInWorker() });
  if ('findings' in policies) {
    const lines = policies.findings.map(({ file, line, column, message }) => `${file}:${line}:${column}: ${message}`);
    return { problem: lines.join('\n') };
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
    servers: serversOf(policies),
    trials: trialsOf(policies, { agents: tried, cases, nowMs }),
  };
}

function mostFrequent(names: readonly string[]): string | undefined {
  const counted = [...Map.groupBy(names, (name) => name)].toSorted(([, a], [, b]) => b.length - a.length);
  return counted[0]?.[0];
}

/** File names: the last part of the id, and a number where it is taken by another. */
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

const serversOf = ({ catalog }: PolicySet): readonly RoutedServer[] =>
  [...catalog.servers.values()].map((server) => ({
    hosts: [...server.hosts],
    streams: [...catalog.actions.values()].filter((action) => action.server === server).flatMap(streamOf),
  }));

/** A gRPC method without arguments is decided on its headers, and may be a stream. */
const streamOf = ({ kind, message, template }: CatalogAction): readonly string[] =>
  kind === 'grpc' && message === null ? [template] : [];

async function written(source: PolicySource, folder: string): Promise<string> {
  const files = [source.catalog, source.schema, ...source.policies, ...source.entities];
  const texts = files.map(({ name, text }) => [name, text] as const);
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

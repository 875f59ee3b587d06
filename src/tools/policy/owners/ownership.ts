/** Holds policies to what their owners may speak of. */
import { join } from 'node:path';
import type { Catalog } from '../../../core/action/catalog/catalog.ts';
import type { SourceFinding } from '../../../core/action/catalog/finding.ts';
import { isDeny } from '../../../core/decision/decision.ts';
import { coversSpiffeId } from '../../../core/identity/spiffe-id-pattern.ts';
import { spiffeIdFrom } from '../../../core/identity/spiffe-id.ts';
import type { Constraint, Test } from '../../../core/policy/answers/scope.ts';
import { entityKey, uidOfKey } from '../../../core/policy/entities.ts';
import type { Entity } from '../../../core/policy/entities.ts';
import { NAMESPACE } from '../../../core/policy/namespace.ts';
import type { PolicyEntry } from '../../../core/policy/loading/policy-file.ts';
import type { PolicySource } from '../../../core/policy/loading/source.ts';
import { OWNERS } from './owners-file.ts';
import type { Owner } from './owners-file.ts';

/** The set that is held to its owners. */
export interface OwnedSet {
  readonly source: Pick<PolicySource, 'policies'>;
  readonly catalog: Catalog;
  readonly policies: readonly PolicyEntry[];
  /** By `entityKey`; they may give an endpoint further ancestors. */
  readonly entities: ReadonlyMap<string, Entity>;
}

/** A function that finds the team of a policy, by the file that it, or its link, is written in. */
export function ownerFinder(
  owners: readonly Owner[],
  { policies }: Pick<PolicySource, 'policies'>,
): (policy: Pick<PolicyEntry, 'file' | 'link'>) => Owner | null {
  const names = new Map(policies.map(({ file, name }) => [file, name]));
  const ownerOf = ownerByName(owners);
  return ({ file, link }) => ownerOf(names.get(link?.file ?? file) ?? '');
}

/**
 * A function that finds the team of a file by its name. The longest path that has a file counts, so a team can be given a file within the folder of
 * another team.
 */
export function ownerByName(owners: readonly Owner[]): (name: string) => Owner | null {
  const byPath = owners
    .flatMap((owner) => owner.paths.map((path) => ({ path, owner })))
    .toSorted((one, other) => other.path.length - one.path.length);
  return (name) =>
    byPath.find(({ path }) => (path.endsWith('/') ? name.startsWith(path) : name === path))?.owner ?? null;
}

/**
 * The files of a folder without an owner that decide what policies mean, or who owns them: the catalog, entities, enforcement,
 * limits and `owners.yaml`. Anyone who can change them without review can do without a policy. `ownershipFindings` reports
 * policies without an owner.
 */
export function unownedFiles(
  owners: readonly Owner[],
  { folder, catalogs, entities, enforcement, limits }: PolicySource,
): readonly SourceFinding[] {
  const ownerOf = ownerByName(owners);
  const own = { name: OWNERS, file: join(folder, OWNERS) };
  return [own, ...catalogs, ...entities, ...[enforcement, limits].flatMap((file) => file ?? [])]
    .filter(({ name }) => ownerOf(name) === null)
    .map(({ file }) => unowned({ file, line: 1, column: 1 }));
}

const unowned = (place: Pick<SourceFinding, 'file' | 'line' | 'column' | 'policy'>): SourceFinding => ({
  ...place,
  message: 'no team owns this file',
  help: 'give its path to a team in `owners.yaml`',
});

/**
 * What is outside of its owner's reach, by the heads of policies alone: conditions only narrow what a head can match, so a head within the
 * reach keeps its policy there. A policy without an owner is a finding too.
 */
export const ownershipFindings = (owners: readonly Owner[], set: OwnedSet): readonly SourceFinding[] =>
  ownedPolicies(owners, set).flatMap(({ findings }) => findings);

/** A policy whose head is not within its owner's reach. */
export interface OutsidePolicy {
  readonly policy: PolicyEntry;
  /** `null` if no team owns its file. */
  readonly owner: Owner | null;
  readonly findings: readonly SourceFinding[];
  /** Whether its head reaches agents that are not the owner's. */
  readonly isForeignAgents: boolean;
}

/** The policies of which something is outside, by their heads alone. */
export function ownedPolicies(
  owners: readonly Owner[],
  { source, catalog, policies, entities }: OwnedSet,
): readonly OutsidePolicy[] {
  const ownerOf = ownerFinder(owners, source);
  const requests = requestsOf(catalog, entities);
  return policies.flatMap((policy): readonly OutsidePolicy[] => {
    const { file, line, column } = policy.link ?? policy;
    const owner = ownerOf(policy);
    if (owner === null) {
      const nobodys = unowned({ file, line, column, policy: policy.id });
      return [{ policy, owner, findings: [nobodys], isForeignAgents: false }];
    }
    const { named, isForeignAgents } = outsideOf(owner, policy, requests);
    const findings = named.map((what) => ({
      file,
      line,
      column,
      policy: policy.id,
      message: `the team \`${owner.team}\` may not speak of ${what}`,
      help: 'name in its head what it is about, or give that to the team in `owners.yaml`',
    }));
    return findings.length === 0 ? [] : [{ policy, owner, findings, isForeignAgents }];
  });
}

/** The first action, server and agent of a policy's head that are not its owner's. */
function outsideOf(
  owner: Owner,
  { scope }: PolicyEntry,
  requests: ReturnType<typeof requestsOf>,
): { readonly named: readonly string[]; readonly isForeignAgents: boolean } {
  const reached = requests.filter(
    ({ action, groups, resource, within }) =>
      meets(scope.action, { type: 'Action', id: action, within: groups }) &&
      meets(scope.resource, { ...resource, within }),
  );
  const action = reached.find((request) => !coversName(owner.actions, request.action))?.action;
  const server = reached.find((request) => !coversName(owner.servers, request.server.id))?.server.id;
  const agents = scope.principal.find((test) => !isOwnAgent(owner, test));
  const named = [
    ...(action === undefined ? [] : [`the action \`${action}\``]),
    ...(server === undefined ? [] : [`the server \`${server}\``]),
    ...(agents === undefined ? [] : [agentText(agents)]),
  ];
  return { named, isForeignAgents: agents !== undefined };
}

interface Name {
  readonly type: string;
  readonly id: string;
}

/** What can be asked of policies: each action at its endpoint, and tokens for each server. */
const requestsOf = ({ actions, servers }: Catalog, entities: OwnedSet['entities']) => [
  ...Array.from(actions.values(), ({ id, risk, server, endpoint }) => ({
    action: id,
    groups: [{ type: 'Action', id: risk }],
    resource: { type: 'Endpoint', id: `${server.id}:${endpoint}` },
    server,
    within: ancestorsOf(
      [`${NAMESPACE}::Endpoint ${server.id}:${endpoint}`, `${NAMESPACE}::Server ${server.id}`],
      entities,
    ),
  })),
  ...Array.from(servers.values(), (server) => ({
    action: 'issue',
    groups: [],
    resource: { type: 'Server', id: server.id },
    server,
    within: ancestorsOf([`${NAMESPACE}::Server ${server.id}`], entities),
  })),
];

/** These entities and all their ancestors. */
function ancestorsOf(keys: readonly string[], entities: OwnedSet['entities']): readonly Name[] {
  const found = new Set<string>();
  const pending = [...keys];
  for (let key = pending.pop(); key !== undefined; key = pending.pop()) {
    if (found.has(key)) continue;
    found.add(key);
    pending.push(...(entities.get(key)?.parents ?? []).map(entityKey));
  }
  return Array.from(found, (key) => {
    const { type, id } = uidOfKey(key);
    return { type: type.replace(`${NAMESPACE}::`, ''), id };
  });
}

/** Whether a constraint lets a name through. A group whose type neither the name nor an ancestor has counts as reached. */
function meets(constraint: Constraint, { within, ...name }: Name & { readonly within: readonly Name[] }): boolean {
  return constraint.some((test) => {
    if (test.kind === 'any') return true;
    if (test.kind === 'equal') return isSame(test.uid, name);
    if (test.kind === 'is' && test.type !== `${NAMESPACE}::${name.type}`) return false;
    const group = test.kind === 'is' ? test.within : test.uid;
    if (group === null) return true;
    const isKnownKind = [name, ...within].some(({ type }) => group.type === `${NAMESPACE}::${type}`);
    return !isKnownKind || [name, ...within].some((one) => isSame(group, one));
  });
}

const isSame = (uid: Name, { type, id }: Name): boolean => uid.type === `${NAMESPACE}::${type}` && uid.id === id;

/** Whether one of these names, families (`payments.*`) or `*` has an id. */
export const coversName = (names: readonly string[], id: string): boolean =>
  names.some((name) => name === '*' || name === id || (name.endsWith('.*') && id.startsWith(name.slice(0, -1))));

/** Whether all that a test of a principal lets through is the owner's. */
export function isOwnAgent({ agents, groups }: Owner, test: Test): boolean {
  if (agents.includes('*')) return true;
  const uid = test.kind === 'any' ? null : test.kind === 'is' ? test.within : test.uid;
  if (uid === null) return false;
  if (uid.type === `${NAMESPACE}::AgentGroup`) return groups.includes(uid.id);
  if (uid.type === `${NAMESPACE}::TrustDomain`) return agents.includes(`spiffe://${uid.id}/*`);
  if (uid.type !== `${NAMESPACE}::Agent`) return false;
  const own = spiffeIdFrom(uid.id);
  return !isDeny(own) && agents.some((agent) => coversSpiffeId(agent, own));
}

function agentText(test: Test): string {
  const uid = test.kind === 'any' ? null : test.kind === 'is' ? test.within : test.uid;
  return uid === null ? 'every agent' : `\`${uid.type}::${JSON.stringify(uid.id)}\``;
}

/**
 * The lines of a CODEOWNERS file, in which the last line that has a file counts.
 *
 * @param prefix the policy folder from the root of the repository, with a final `/`
 */
export const codeownersText = (owners: readonly Owner[], prefix: string): string =>
  [
    '# Written by `remit policy owners` from owners.yaml. Change that.',
    ...owners
      .flatMap(({ paths, reviewers }) => paths.map((path) => ({ path, reviewers })))
      .toSorted((one, other) => one.path.length - other.path.length || (one.path < other.path ? -1 : 1))
      .map(({ path, reviewers }) => `/${prefix}${path} ${reviewers.join(' ')}`),
    '',
  ].join('\n');

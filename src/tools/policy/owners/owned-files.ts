/** Holds a team's files of the catalog and of entities to what the team may speak of. */
import type { Catalog, Server } from '../../../core/action/catalog/catalog.ts';
import type { SourceFinding } from '../../../core/action/catalog/finding.ts';
import { entriesOf, openYaml } from '../../../core/action/catalog/yaml-file.ts';
import { entitiesFrom } from '../../../core/policy/entities.ts';
import type { Entity, EntityUid } from '../../../core/policy/entities.ts';
import type { PolicySource, SourceFile } from '../../../core/policy/loading/source.ts';
import { NAMESPACE } from '../../../core/policy/namespace.ts';
import { actionPlaces } from '../lint/action-places.ts';
import { coversName, isOwnAgent, ownerByName } from './ownership.ts';
import type { Owner } from './owners-file.ts';

/** A set whose files are held to their owners. */
export interface FiledSet {
  readonly source: Pick<PolicySource, 'catalogs' | 'entities'>;
  readonly catalog: Catalog;
}

/**
 * What a team's files define and the team may not speak of: in a file of the catalog servers, actions, and places below those of others' servers; in
 * a file of entities agents, groups, servers and endpoints. Files without an owner are of `unownedFiles`.
 */
export function ownedFileFindings(owners: readonly Owner[], { source, catalog }: FiledSet): readonly SourceFinding[] {
  const ownerOf = ownerByName(owners);
  const held = (
    files: readonly SourceFile[],
    findingsOf: (file: SourceFile, owner: Owner) => readonly SourceFinding[],
  ): readonly SourceFinding[] =>
    files.flatMap((file) => {
      const owner = ownerOf(file.name);
      return owner === null ? [] : findingsOf(file, owner);
    });
  return [
    ...held(source.catalogs, (file, owner) => catalogFindings(file, owner, catalog)),
    ...held(source.entities, entityFindings),
  ];
}

const HELP = 'move it to a file of the team that may, or give it to the team in `owners.yaml`';

const beyond = ({ team }: Owner, what: string): string => `the team \`${team}\` may not speak of ${what}`;

/** The keys of a file of the catalog that are about every server. */
const OF_ALL: ReadonlySet<string> = new Set(['timeZones', 'subjectAttributes']);

function catalogFindings({ text, file }: SourceFile, owner: Owner, catalog: Catalog): readonly SourceFinding[] {
  const yaml = openYaml(text, file);
  const keys = entriesOf(yaml, yaml.root, 'the catalog');
  const ofAll = keys.filter(([key]) => OF_ALL.has(key.value) && !owner.servers.includes('*'));
  const servers = keys.filter(([key]) => key.value === 'servers').flatMap(([, node]) => entriesOf(yaml, node, ''));
  const places = actionPlaces([yaml]);
  return [
    ...ofAll.map(([key]) =>
      yaml.findingAt(key.offset, beyond(owner, `\`${key.value}\`, which all servers share`), HELP),
    ),
    ...servers.flatMap(([{ value, offset }]) => {
      const server = catalog.servers.get(value);
      if (server === undefined) return [];
      const foreign = coversName(owner.servers, value)
        ? takenPlaces(server, owner, catalog)
        : [`the server \`${value}\``];
      // An action that the file does not name, such as `crm.mcp.session`, is found at its server.
      const actions = foreignActions(server, owner, catalog).map((id) =>
        yaml.findingAt(places.get(id)?.offset ?? offset, beyond(owner, `the action \`${id}\``), HELP),
      );
      return foreign.map((what) => yaml.findingAt(offset, beyond(owner, what), HELP)).concat(actions);
    }),
  ];
}

/** The actions of a server that are not its team's. */
const foreignActions = (server: Server, owner: Owner, { actions }: Catalog): readonly string[] =>
  Array.from(actions.values()).flatMap((action) =>
    action.server === server && !coversName(owner.actions, action.id) ? [action.id] : [],
  );

/**
 * The places of a server below those of servers that its team may not speak of: calls to them would become this server's, since the longest matching
 * path wins.
 */
function takenPlaces(server: Server, owner: Owner, { servers }: Catalog): readonly string[] {
  const others = [...servers.values()].filter((other) => other !== server && !coversName(owner.servers, other.id));
  return others.flatMap((other) => {
    const host = [...server.hosts].find((one) => other.hosts.has(one));
    if (host === undefined) return [];
    const path = server.paths.find((own) => pathsOf(other).some((around) => isBelow(own, around)));
    return path === undefined ? [] : [`\`${path}\` of the host \`${host}\`, which is of the server \`${other.id}\``];
  });
}

const pathsOf = ({ paths }: Server): readonly string[] => (paths.length === 0 ? [''] : paths);

/** As the least exact router compares. */
const isBelow = (path: string, around: string): boolean => path.toLowerCase().startsWith(`${around.toLowerCase()}/`);

function entityFindings(file: SourceFile, owner: Owner): readonly SourceFinding[] {
  return entitiesFrom(file).entities.flatMap(({ entity, file: name, line, column }) => {
    const what = foreignName(entity, owner);
    return what === null ? [] : [{ file: name, line, column, message: beyond(owner, what), help: HELP }];
  });
}

/** The first name of an entity, or of what it is in, that is not the owner's; `null` if all are. */
function foreignName({ uid, parents }: Entity, owner: Owner): string | null {
  const foreign = [uid, ...parents.filter((parent) => !isOwnDomain(uid, parent))].find((one) => !isOwn(one, owner));
  return foreign === undefined ? null : `\`${foreign.type}::${JSON.stringify(foreign.id)}\``;
}

/** The trust domain of an agent follows from its SPIFFE ID. */
const isOwnDomain = (uid: EntityUid, parent: EntityUid): boolean =>
  uid.type === `${NAMESPACE}::Agent` && parent.type === `${NAMESPACE}::TrustDomain`;

function isOwn(uid: EntityUid, owner: Owner): boolean {
  const { servers } = owner;
  switch (uid.type) {
    case `${NAMESPACE}::Server`:
      return coversName(servers, uid.id);
    case `${NAMESPACE}::Endpoint`:
      return coversName(servers, uid.id.slice(0, Math.max(0, uid.id.indexOf(':'))));
    case `${NAMESPACE}::Agent`:
    case `${NAMESPACE}::TrustDomain`:
      return isOwnAgent(owner, { kind: 'equal', uid });
    case `${NAMESPACE}::AgentGroup`:
      // Membership gives an agent the rights of the group: `agents: ['*']` does not allow a team to give those of other teams.
      return owner.groups.includes(uid.id) || ownsAll(owner);
    default:
      return ownsAll(owner);
  }
}

const ownsAll = ({ servers, actions, agents }: Owner): boolean =>
  [servers, actions, agents].every((names) => names.includes('*'));

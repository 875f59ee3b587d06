import type { Catalog } from '../../action/catalog.ts';
import { spiffeIdFrom, trustDomainOf } from '../../identity/spiffe-id.ts';
import { isDeny } from '../../decision/decision.ts';
import { entityKey } from '../entities.ts';
import type { Entity, EntityUid } from '../entities.ts';
import { NAMESPACE } from '../namespace.ts';
import type { LintedPolicy, Scope } from './linted-policy.ts';

/** Something that Remit can ask about: an action where it happens, or the issue of tokens at a server. */
export interface Request {
  readonly action: string;
  readonly risk: string | null;
  readonly server: string;
  /** `null` for `issue`, which is about the server itself. */
  readonly endpoint: string | null;
}

const uid = (type: string, id: string): EntityUid => ({ type: `${NAMESPACE}::${type}`, id });

/**
 * What policies can match. Remit asks about finitely many things, one for each action of the catalog and one for each
 * server, so that what a scope covers can be listed; agents are told apart by the entities.
 */
export class Reach {
  /** Everything Remit can ask. */
  readonly requests: readonly Request[];
  readonly #entities: ReadonlyMap<string, Entity>;

  constructor(catalog: Catalog, entities: readonly Entity[]) {
    this.#entities = new Map(entities.map((entity) => [entityKey(entity.uid), entity]));
    this.requests = [
      ...Array.from(catalog.servers.keys(), (server) => ({ action: 'issue', risk: null, server, endpoint: null })),
      ...Array.from(catalog.actions.values(), ({ id, risk, server, endpoint }) => ({
        action: id,
        risk,
        server: server.id,
        endpoint,
      })),
    ];
  }

  /** What the action and the resource of a policy's scope cover. */
  of(policy: Pick<LintedPolicy, 'action' | 'resource'>): ReadonlySet<Request> {
    const covered = this.requests.filter((request) => {
      const action = uid('Action', request.action);
      const groups = request.risk === null ? [] : [uid('Action', request.risk)];
      const server = uid('Server', request.server);
      const resource = request.endpoint === null ? server : uid('Endpoint', `${request.server}:${request.endpoint}`);
      const within = [
        ...this.ancestors(resource),
        ...(request.endpoint === null ? [] : [server, ...this.ancestors(server)]),
      ];
      return covers(policy.action, action, groups) && covers(policy.resource, resource, within);
    });
    return new Set(covered);
  }

  /** Whether an agent can be what the scope names: one that is known, or any of a trust domain. */
  hasAgents({ principal: { entities, isExact } }: Pick<LintedPolicy, 'principal'>): boolean {
    if (entities === null || isExact) return true;
    const agents = [...this.#entities.values()].filter(({ uid: { type } }) => isAgent(type));
    return entities.some(
      (group) =>
        group.type === `${NAMESPACE}::TrustDomain` ||
        isAgent(group.type) ||
        agents.some((agent) => this.ancestors(agent.uid).some((parent) => isSame(parent, group))),
    );
  }

  /** Whether whoever the inner scope can be, the outer is too. `false` where that is not sure. */
  includes(outer: Scope, inner: Scope): boolean {
    if (outer.entities === null) return true;
    if (inner.entities === null) return false;
    return inner.entities.every((entity) => {
      const within = outer.isExact ? [] : this.ancestors(entity);
      const isCovered = outer.entities?.some(
        (one) => isSame(one, entity) || within.some((parent) => isSame(parent, one)),
      );
      return isCovered === true && (!outer.isExact || inner.isExact);
    });
  }

  /** Every group that an entity is in, the trust domain of an agent included. */
  ancestors(entity: EntityUid): readonly EntityUid[] {
    const found = new Map<string, EntityUid>();
    const add = (one: EntityUid): void => {
      for (const parent of this.#parents(one)) {
        if (found.has(entityKey(parent))) continue;
        found.set(entityKey(parent), parent);
        add(parent);
      }
    };
    add(entity);
    return [...found.values()];
  }

  #parents(entity: EntityUid): readonly EntityUid[] {
    const written = this.#entities.get(entityKey(entity))?.parents ?? [];
    if (!isAgent(entity.type)) return written;
    const id = spiffeIdFrom(entity.id);
    return isDeny(id) ? written : [...written, uid('TrustDomain', trustDomainOf(id))];
  }
}

const isAgent = (type: string): boolean => type === `${NAMESPACE}::Agent`;

const isSame = (a: EntityUid, b: EntityUid): boolean => a.type === b.type && a.id === b.id;

function covers({ entities, isExact, type }: Scope, entity: EntityUid, within: readonly EntityUid[]): boolean {
  if (type !== null && type !== entity.type) return false;
  if (entities === null) return true;
  return entities.some((one) => isSame(one, entity) || (!isExact && within.some((parent) => isSame(parent, one))));
}

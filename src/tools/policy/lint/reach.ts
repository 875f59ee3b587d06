import type { Catalog } from '../../../core/action/catalog/catalog.ts';
import { spiffeIdFrom, trustDomainOf } from '../../../core/identity/spiffe-id.ts';
import { isDeny } from '../../../core/decision/decision.ts';
import { entityKey } from '../../../core/policy/entities.ts';
import type { Entity, EntityUid } from '../../../core/policy/entities.ts';
import { NAMESPACE } from '../../../core/policy/namespace.ts';
import type { LintedPolicy, LintedScope } from './linted-policy.ts';

/** A request that Remit can make: an action at its endpoint, or token issuance at a server. */
export interface Request {
  readonly action: string;
  readonly risk: string | null;
  readonly server: string;
  /** `null` for `issue`, whose resource is the server. */
  readonly endpoint: string | null;
}

/** The entities of a request with their ancestors. */
interface Names {
  readonly action: EntityUid;
  readonly groups: readonly EntityUid[];
  readonly resource: EntityUid;
  readonly within: readonly EntityUid[];
}

/** Most memoised scopes, and entities. */
const MAX_KNOWN = 100_000;

const uid = (type: string, id: string): EntityUid => ({ type: `${NAMESPACE}::${type}`, id });

/**
 * What policies can match. Requests are finite (one per catalog action and per server), so the coverage of a scope can be
 * enumerated. Agents are distinguished by entities.
 */
export class Reach {
  /** All requests that Remit can make. */
  readonly requests: readonly Request[];
  readonly #entities: ReadonlyMap<string, Entity>;
  /** Memoised by action and resource of a scope, which many policies share. */
  readonly #covered = new Map<string, ReadonlySet<Request>>();
  /** Memoised by policy, since several rules need it. */
  readonly #ofPolicy = new WeakMap<object, ReadonlySet<Request>>();
  #groups: ReadonlySet<string> | null = null;
  readonly #ancestors = new Map<string, readonly EntityUid[]>();
  /** Entities of each request. */
  readonly #names: ReadonlyMap<Request, Names>;

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
    this.#names = new Map(this.requests.map((request) => [request, this.#namesOf(request)]));
  }

  /** The requests that a policy's action and resource cover. */
  of(policy: Pick<LintedPolicy, 'action' | 'resource'>): ReadonlySet<Request> {
    const known = this.#ofPolicy.get(policy) ?? this.#ofScope(policy);
    this.#ofPolicy.set(policy, known);
    return known;
  }

  #ofScope({ action, resource }: Pick<LintedPolicy, 'action' | 'resource'>): ReadonlySet<Request> {
    const key = JSON.stringify([action, resource]);
    const known = this.#covered.get(key);
    if (known !== undefined) return known;
    const covered = new Set(
      this.requests.filter((request) => {
        const names = this.#names.get(request);
        return (
          names !== undefined &&
          covers(action, names.action, names.groups) &&
          covers(resource, names.resource, names.within)
        );
      }),
    );
    if (this.#covered.size < MAX_KNOWN) this.#covered.set(key, covered);
    return covered;
  }

  #namesOf(request: Request): Names {
    const server = uid('Server', request.server);
    const resource = request.endpoint === null ? server : uid('Endpoint', `${request.server}:${request.endpoint}`);
    return {
      action: uid('Action', request.action),
      groups: request.risk === null ? [] : [uid('Action', request.risk)],
      resource,
      within: [...this.ancestors(resource), ...(request.endpoint === null ? [] : [server, ...this.ancestors(server)])],
    };
  }

  /** Whether an agent can match the scope: a known agent, or any agent of a trust domain. */
  hasAgents({ principal: { entities, isExact } }: Pick<LintedPolicy, 'principal'>): boolean {
    if (entities === null || isExact) return true;
    return entities.some(
      (group) =>
        group.type === `${NAMESPACE}::TrustDomain` || isAgent(group.type) || this.#peopled().has(entityKey(group)),
    );
  }

  /** Keys of groups that contain agents. */
  #peopled(): ReadonlySet<string> {
    this.#groups ??= new Set(
      [...this.#entities.values()].flatMap(({ uid: agent }) =>
        isAgent(agent.type) ? this.ancestors(agent).map(entityKey) : [],
      ),
    );
    return this.#groups;
  }

  /** Whether the outer scope covers the inner scope; `false` if uncertain. */
  includes(outer: LintedScope, inner: LintedScope): boolean {
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

  /** All ancestors of an entity, including an agent's trust domain. */
  ancestors(entity: EntityUid): readonly EntityUid[] {
    const key = entityKey(entity);
    const known = this.#ancestors.get(key);
    if (known !== undefined) return known;
    const found = new Map<string, EntityUid>();
    const add = (one: EntityUid): void => {
      for (const parent of this.#parents(one)) {
        if (found.has(entityKey(parent))) continue;
        found.set(entityKey(parent), parent);
        add(parent);
      }
    };
    add(entity);
    const all = [...found.values()];
    if (this.#ancestors.size < MAX_KNOWN) this.#ancestors.set(key, all);
    return all;
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

function covers({ entities, isExact, type }: LintedScope, entity: EntityUid, within: readonly EntityUid[]): boolean {
  if (type !== null && type !== entity.type) return false;
  if (entities === null) return true;
  return entities.some((one) => isSame(one, entity) || (!isExact && within.some((parent) => isSame(parent, one))));
}

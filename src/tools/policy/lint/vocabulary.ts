import type { Catalog } from '../../../core/action/catalog/catalog.ts';
import { isDeny } from '../../../core/decision/decision.ts';
import { spiffeIdFrom, trustDomainFrom, trustDomainOf } from '../../../core/identity/spiffe-id.ts';
import { REUSE_CLASSES } from '../../../core/token/reuse.ts';
import { attributeTexts } from '../../../core/policy/catalog-entities.ts';
import type { Entity, EntityUid } from '../../../core/policy/entities.ts';
import { NAMESPACE } from '../../../core/policy/namespace.ts';
import type { ContextShape } from './context-shape.ts';
import type { Path } from './expression.ts';
import { nearestOf } from '../../../core/runtime/nearest-name.ts';

/** Why a name never occurs, and the nearest that does. */
export interface Unmet {
  readonly because: string;
  readonly near: string | null;
}

/** Possible context values and existing entities. */
export interface Vocabulary {
  /** All texts that the value at a path, or a member of that set, can be; `null` if it can be anything. */
  readonly textsAt: (path: Path) => ReadonlySet<string> | null;
  /** Why no request has this entity or is below it; `null` if a request can. */
  readonly unmetEntity: (uid: EntityUid) => Unmet | null;
  readonly shapeOf: (action: string) => ContextShape | null;
}

const RISKS: ReadonlySet<string> = new Set(['low', 'medium', 'high']);

/** The vocabulary of a policy set. */
export function vocabularyOf(
  catalog: Catalog,
  entities: readonly Entity[],
  shapeOf: Vocabulary['shapeOf'],
): Vocabulary {
  const actions = [...catalog.actions.values()];
  const ids = new Set(actions.map(({ id }) => id));
  const labels = new Set(actions.flatMap((action) => [...action.labels]));
  const methods = actions.flatMap(({ kind, method }) => (kind === 'mcp' ? ['POST', 'GET', 'DELETE'] : [method]));
  const texts = new Map<string, ReadonlySet<string>>([
    ['context.labels', labels],
    ['context.task.labels', labels],
    ['context.task.actions', ids],
    ['context.intent.actions', new Set([...ids, ...[...ids].flatMap(familiesOf)])],
    ['context.requested.action', ids],
    ['context.requested.risk', RISKS],
    ['context.risk', RISKS],
    ['context.request.method', new Set(methods)],
    ['context.credential.kind', new Set(['task-token', 'external-token', 'workload-identity'])],
    ['context.credential.binding', new Set(['certificate', 'spiffe-id', 'dpop', 'none'])],
    ['context.credential.reuse', new Set(REUSE_CLASSES)],
    ...Array.from(attributeTexts(catalog), ([name, values]) => [`resource.${name}`, values] as const),
  ]);
  const known = knownEntities(catalog, entities);
  const nearestEntity = ({ type, id }: EntityUid): string | null => nearestOf(id, known.get(type) ?? []);
  return {
    textsAt: (path) => texts.get(path.join('.')) ?? null,
    unmetEntity: (uid) => {
      const because = whyUnmet(uid, known);
      if (because === null) return null;
      const agentNear = uid.type === AGENT ? agentInNearestDomain(uid.id, known.get(TRUST_DOMAIN) ?? []) : null;
      return { because, near: nearestEntity(uid) ?? agentNear };
    },
    shapeOf,
  };
}

/** Families such as `payments.*`, which an intent may name. */
const familiesOf = (id: string): readonly string[] =>
  id.split('.').flatMap((_part, at, parts) => (at === 0 ? [] : [`${parts.slice(0, at).join('.')}.*`]));

const AGENT = `${NAMESPACE}::Agent`;
const TRUST_DOMAIN = `${NAMESPACE}::TrustDomain`;
const GROUP = `${NAMESPACE}::AgentGroup`;
const SERVER = `${NAMESPACE}::Server`;
const ENDPOINT = `${NAMESPACE}::Endpoint`;

type Known = ReadonlyMap<string, ReadonlySet<string>>;

function knownEntities(catalog: Catalog, entities: readonly Entity[]): Known {
  const of = (type: string): readonly string[] => entities.flatMap(({ uid }) => (uid.type === type ? [uid.id] : []));
  const domains = of(AGENT).flatMap((id) => {
    const agent = spiffeIdFrom(id);
    return isDeny(agent) ? [] : [trustDomainOf(agent)];
  });
  const endpoints = Array.from(catalog.actions.values(), ({ server, endpoint }) => `${server.id}:${endpoint}`);
  // A parent without an entry of its own exists too.
  const parents = entities.flatMap((entity) => entity.parents);
  const parentsOf = (type: string): readonly string[] => parents.flatMap((uid) => (uid.type === type ? [uid.id] : []));
  return new Map([
    [AGENT, new Set(of(AGENT))],
    [TRUST_DOMAIN, new Set([...domains, ...of(TRUST_DOMAIN), ...parentsOf(TRUST_DOMAIN)])],
    [GROUP, new Set([...of(GROUP), ...parentsOf(GROUP)])],
    [SERVER, new Set(catalog.servers.keys())],
    [ENDPOINT, new Set(endpoints)],
  ]);
}

function whyUnmet({ type, id }: EntityUid, known: Known): string | null {
  switch (type) {
    case AGENT:
      return whyNoAgent(id, known);
    case TRUST_DOMAIN: {
      const domain = trustDomainFrom(id);
      return isDeny(domain) ? domain.detail : whyNoDomain(id, known);
    }
    case GROUP:
      return isIn(id, known.get(GROUP)) ? null : 'the folder has no such group';
    case SERVER:
      return isIn(id, known.get(SERVER)) ? null : 'the catalog has no such server';
    case ENDPOINT:
      return isIn(id, known.get(ENDPOINT)) ? null : 'the catalog has no such endpoint';
    default:
      return null;
  }
}

const isIn = (id: string, names: ReadonlySet<string> | undefined): boolean => names?.has(id) === true;

function whyNoAgent(text: string, known: Known): string | null {
  const agent = spiffeIdFrom(text);
  if (isDeny(agent)) return agent.detail;
  const agents = known.get(AGENT) ?? new Set();
  const domain = whyNoDomain(trustDomainOf(agent), known);
  if (domain !== null || agents.has(text)) return domain;
  // An agent need not be among the entities, but a name that is a letter off from a known agent is probably a typo.
  const near = [...agents].find((one) => isSlip(text, one));
  return near === undefined ? null : 'the folder has no such agent';
}

/** Folders without agents and trust domains do not say which of them exist. */
function whyNoDomain(domain: string, known: Known): string | null {
  const domains = known.get(TRUST_DOMAIN) ?? new Set();
  return domains.size === 0 || domains.has(domain)
    ? null
    : `the folder has no entity of the trust domain \`${domain}\``;
}

/** Whether two names differ by a typo; names that differ by a number are replicas. */
const isSlip = (text: string, other: string): boolean =>
  Math.abs(text.length - other.length) <= 2 &&
  text.replaceAll(/\d+/g, '') !== other.replaceAll(/\d+/g, '') &&
  isLetterOff(text, other);

/** Whether all but a run of at most two characters is equal. */
function isLetterOff(a: string, b: string): boolean {
  const most = Math.max(a.length, b.length);
  let start = 0;
  while (start < most && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  return most - start - end <= 2;
}

function agentInNearestDomain(text: string, domains: Iterable<string>): string | null {
  const [, domain = '', path = ''] = /^spiffe:\/\/([^/]+)(\/.*)$/.exec(text) ?? [];
  const near = domain === '' ? null : nearestOf(domain, domains);
  return near === null ? null : `spiffe://${near}${path}`;
}

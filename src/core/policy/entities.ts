import type { SourceFinding } from '../action/catalog/finding.ts';
import { isDeny } from '../decision/decision.ts';
import { spiffeIdFrom, trustDomainOf } from '../identity/spiffe-id.ts';
import { jsonListFrom } from './json-list.ts';
import { NAMESPACE } from './namespace.ts';
import type { SourceFile } from './loading/source.ts';

/** The name of a Cedar entity. */
export interface EntityUid {
  readonly type: string;
  readonly id: string;
}

/** A Cedar entity as the operator wrote it. */
export interface Entity {
  readonly uid: EntityUid;
  readonly attrs: Readonly<Record<string, unknown>>;
  readonly parents: readonly EntityUid[];
  readonly tags?: Readonly<Record<string, unknown>>;
}

/** An entity with its place. */
export interface PlacedEntity {
  readonly entity: Entity;
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** A unique key per name: a type never contains a space. */
export const entityKey = ({ type, id }: EntityUid): string => `${type} ${id}`;

/** The name with this key. */
export function uidOfKey(key: string): EntityUid {
  const at = key.indexOf(' ');
  return { type: key.slice(0, at), id: key.slice(at + 1) };
}

const AGENT = `${NAMESPACE}::Agent`;
const TRUST_DOMAIN = `${NAMESPACE}::TrustDomain`;
const ACTION = /(^|::)Action$/;

/**
 * Parses the entities of one file, a JSON list of `{uid, attrs, parents, tags?}`. The schema is checked later. Here an agent's id
 * must be a SPIFFE ID, a trust domain among its parents must be its own, and actions are refused, since they belong in the
 * catalog.
 */
export function entitiesFrom(source: SourceFile): {
  readonly entities: readonly PlacedEntity[];
  readonly findings: readonly SourceFinding[];
} {
  const read = jsonListFrom(source, 'entities');
  const entities: PlacedEntity[] = [];
  const findings: SourceFinding[] = [...read.findings];
  for (const { value, at } of read.items) {
    const entity = entityFrom(value);
    const problem = 'problem' in entity ? entity.problem : entityProblem(entity);
    if (problem !== null) findings.push({ ...at, message: problem, help: null });
    else if (!('problem' in entity)) entities.push({ entity, ...at });
  }
  return { entities, findings };
}

function entityFrom(item: unknown): Entity | { readonly problem: string } {
  if (!isRecord(item)) return { problem: 'an entity must be an object' };
  const unknown = Object.keys(item).find((key) => !['uid', 'attrs', 'parents', 'tags'].includes(key));
  if (unknown !== undefined) return { problem: `unknown member \`${unknown}\` in an entity` };
  const uid = uidFrom(item['uid']);
  if (uid === null) return { problem: '`uid` must be `{"type": …, "id": …}`' };
  const { attrs, parents, tags } = item;
  if (!isRecord(attrs)) return { problem: `\`attrs\` of \`${uid.id}\` must be an object` };
  if (!Array.isArray(parents)) return { problem: `\`parents\` of \`${uid.id}\` must be a list` };
  const uids = parents.flatMap((parent) => uidFrom(parent) ?? []);
  if (uids.length < parents.length)
    return { problem: `each of \`parents\` of \`${uid.id}\` must be \`{"type": …, "id": …}\`` };
  if (tags !== undefined && !isRecord(tags)) return { problem: `\`tags\` of \`${uid.id}\` must be an object` };
  return { uid, attrs, parents: uids, ...(tags === undefined ? {} : { tags }) };
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Parses a name as the operator writes it, with or without `__entity`; `null` for anything else, including extra members. */
export function uidFrom(value: unknown): EntityUid | null {
  if (!isRecord(value)) return null;
  if ('__entity' in value) return Object.keys(value).length === 1 ? uidFrom(value['__entity']) : null;
  const { type, id, ...rest } = value;
  return typeof type === 'string' && typeof id === 'string' && Object.keys(rest).length === 0 ? { type, id } : null;
}

function entityProblem({ uid, parents }: Entity): string | null {
  if (ACTION.test(uid.type)) return `the action \`${uid.id}\` belongs in the catalog`;
  if (uid.type !== AGENT) return null;
  const id = spiffeIdFrom(uid.id);
  if (isDeny(id)) return `the agent \`${uid.id}\` has no SPIFFE ID: ${id.detail}`;
  const foreign = parents.find((parent) => parent.type === TRUST_DOMAIN && parent.id !== trustDomainOf(id));
  return foreign === undefined ? null : `the agent \`${uid.id}\` does not belong to the trust domain \`${foreign.id}\``;
}

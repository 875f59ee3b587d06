import type { Attributes, AttributeValue } from '../action/attributes.ts';
import type { Catalog } from '../action/catalog.ts';
import { entityKey } from './entities.ts';
import type { Entity, EntityUid } from './entities.ts';
import { NAMESPACE } from './namespace.ts';

/** What the catalog says of the entities of one type. */
export interface Described {
  readonly uid: EntityUid;
  readonly attributes: Attributes;
}

/** The resources of a catalog with their attributes, by the name of their type: each server, and each endpoint of a server. */
export function describedResources({
  servers,
  actions,
}: Catalog): Readonly<Record<'Server' | 'Endpoint', readonly Described[]>> {
  return {
    Server: Array.from(servers.values(), ({ id, attributes }) => ({ uid: uid('Server', id), attributes })),
    Endpoint: Array.from(actions.values(), ({ server, endpoint, attributes }) => ({
      uid: uid('Endpoint', `${server.id}:${endpoint}`),
      attributes,
    })),
  };
}

const uid = (type: string, id: string): EntityUid => ({ type: `${NAMESPACE}::${type}`, id });

/**
 * The entities of a policy set: what the operator wrote, and what the catalog says of its servers and their endpoints. No attribute
 * is of both, since the schema has each name once.
 *
 * @param written by `entityKey`
 */
export function withCatalogEntities(
  written: ReadonlyMap<string, Entity>,
  catalog: Catalog,
): ReadonlyMap<string, Entity> {
  const entities = new Map(written);
  for (const { uid, attributes } of Object.values(describedResources(catalog)).flat()) {
    if (attributes.size === 0) continue;
    const entity = entities.get(entityKey(uid)) ?? { uid, attrs: {}, parents: [] };
    entities.set(entityKey(uid), { ...entity, attrs: { ...entity.attrs, ...Object.fromEntries(attributes) } });
  }
  return entities;
}

/** The texts that an attribute of a resource, or a member of it, can be; by name. An attribute of no text is not here. */
export function attributeTexts(catalog: Catalog): ReadonlyMap<string, ReadonlySet<string>> {
  const texts = new Map<string, Set<string>>();
  for (const { attributes } of Object.values(describedResources(catalog)).flat()) {
    for (const [name, value] of attributes) {
      const read = textsIn(value);
      if (read === null) continue;
      const known = texts.get(name) ?? new Set();
      texts.set(name, known);
      for (const text of read) known.add(text);
    }
  }
  return texts;
}

const textsIn = (value: AttributeValue): readonly string[] | null =>
  typeof value === 'string' ? [value] : typeof value === 'object' ? value : null;

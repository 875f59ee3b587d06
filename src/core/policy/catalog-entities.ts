import type { Attributes, AttributeValue } from '../action/catalog/attributes.ts';
import type { Catalog } from '../action/catalog/catalog.ts';
import { entityKey } from './entities.ts';
import type { Entity, EntityUid } from './entities.ts';
import { NAMESPACE } from './namespace.ts';

/** The catalog's attributes for the entities of one type. */
export interface Described {
  readonly uid: EntityUid;
  readonly attributes: Attributes;
}

/** The attributes of servers and endpoints of a catalog, by type name. */
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
 * The entities of a policy set: those the operator wrote, with the catalog's attributes of servers and endpoints. No attribute
 * comes from both, because the schema declares each name once.
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

/** The texts that a resource attribute, or a member of it, can be, by attribute name. Attributes without texts are absent. */
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

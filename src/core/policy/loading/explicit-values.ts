/** A type of the schema in Cedar's JSON format, as far as used here. */
interface SchemaType {
  readonly type?: unknown;
  readonly element?: unknown;
  readonly attributes?: unknown;
}

const EXTENSIONS = new Set(['datetime', 'decimal', 'duration', 'ipaddr']);
const MAX_DEPTH = 64;

/**
 * Whether all entity and extension values are explicit (`{"__entity": …}`, `{"__extn": …}`). With a schema Cedar also accepts
 * `{"type": …, "id": …}` and plain strings; but questions are evaluated without a schema, so these would be plain records and
 * strings that never equal what the policy means.
 *
 * @param schema with resolved types, from `schemaToJsonWithResolvedTypes`
 * @param entityType with its namespace
 */
export function hasExplicitValues(
  schema: unknown,
  entityType: string,
  entity: { readonly attrs: unknown; readonly tags?: unknown },
): boolean {
  const [namespace, name] = qualified(entityType);
  const declared = member(member(member(schema, namespace), 'entityTypes'), name);
  const tags = member(declared, 'tags');
  return (
    isExplicit(schema, member(declared, 'shape'), entity.attrs) &&
    Object.values(record(entity.tags)).every((tag) => isExplicit(schema, tags, tag))
  );
}

function isExplicit(schema: unknown, type: unknown, value: unknown, depth = 0): boolean {
  if (type === undefined || depth > MAX_DEPTH) return depth <= MAX_DEPTH;
  const { type: kind, element, attributes } = record(type) satisfies SchemaType;
  if (typeof kind !== 'string' || kind === 'String' || kind === 'Long' || kind === 'Boolean') return true;
  if (kind === 'Entity') return member(value, '__entity') !== undefined;
  if (EXTENSIONS.has(kind.replace(/^__cedar::/, ''))) return member(value, '__extn') !== undefined;
  if (kind === 'Set')
    return Array.isArray(value) && value.every((item) => isExplicit(schema, element, item, depth + 1));
  if (kind === 'Record') {
    return Object.entries(record(value)).every(([name, item]) =>
      isExplicit(schema, member(attributes, name), item, depth + 1),
    );
  }
  const [namespace, name] = qualified(kind);
  return isExplicit(schema, member(member(member(schema, namespace), 'commonTypes'), name), value, depth + 1);
}

const qualified = (type: string): readonly [string, string] => {
  const end = type.lastIndexOf('::');
  return end === -1 ? ['', type] : [type.slice(0, end), type.slice(end + 2)];
};

const record = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? { ...value } : {};

const member = (value: unknown, name: string): unknown => {
  const own = record(value);
  return Object.hasOwn(own, name) ? own[name] : undefined;
};

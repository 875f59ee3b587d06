/** A JSON schema, or a part of one. */
type Schema = Readonly<Record<string, unknown>>;

/** The parts of the OpenAPI description of Kubernetes that are read. */
interface Swagger {
  readonly definitions: Readonly<Record<string, Schema>>;
}

interface GroupVersionKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

const KINDS = 'x-kubernetes-group-version-kind';
const TEXT_OR_NUMBER: Schema = { oneOf: [{ type: 'string' }, { type: 'number' }] };

/**
 * One strict JSON schema for each kind of object that clients send, from the OpenAPI description of Kubernetes, by the file name that kubeconform looks
 * for. Unknown fields are errors.
 */
export function kubernetesSchemas(swagger: Swagger): ReadonlyMap<string, Schema> {
  const definitions = Object.fromEntries(
    Object.entries(swagger.definitions).map(([name, schema]) => [name, definition(name, schema)]),
  );
  const schemas = new Map<string, Schema>();
  for (const [name, schema] of Object.entries(swagger.definitions)) {
    const kinds = (schema[KINDS] ?? []) as readonly GroupVersionKind[];
    // What is of several kinds, such as DeleteOptions, is no object of its own.
    const [kind] = kinds;
    if (kind === undefined || kinds.length > 1) continue;
    schemas.set(fileName(kind), {
      $schema: 'http://json-schema.org/draft-07/schema#',
      $ref: `#/definitions/${name}`,
      definitions: needed(name, definitions),
    });
  }
  return schemas;
}

/** A definition of kinds by others than Kubernetes. */
interface CustomResourceDefinition {
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string };
    readonly versions: readonly { readonly name: string; readonly schema: { readonly openAPIV3Schema: Schema } }[];
  };
}

/** The same from a CustomResourceDefinition, as pairs of file name and schema. */
export function customSchemas({ spec }: CustomResourceDefinition): readonly (readonly [string, Schema])[] {
  const { group, names, versions } = spec;
  return versions.map(({ name, schema }) => {
    const whole = strict(schema.openAPIV3Schema);
    // The API server knows these fields, which the definition leaves open.
    const properties = { ...(whole['properties'] as Schema), metadata: { type: 'object' } };
    return [fileName({ group, version: name, kind: names.kind }), { ...whole, properties }] as const;
  });
}

const fileName = ({ group, version, kind }: GroupVersionKind): string =>
  `${[kind.toLowerCase(), group.split('.')[0], version].filter(Boolean).join('-')}.json`;

const definition = (name: string, schema: Schema): Schema =>
  /\.(?:Quantity|IntOrString)$/.test(name) ? TEXT_OR_NUMBER : strict(schema);

/** Without what does not validate, and closed. */
function strict(schema: Schema): Schema {
  if (schema['format'] === 'int-or-string' || schema['x-kubernetes-int-or-string'] === true) return TEXT_OR_NUMBER;
  if (schema['x-kubernetes-preserve-unknown-fields'] === true) return {};
  const {
    type,
    required,
    properties,
    items,
    additionalProperties,
    $ref,
    enum: oneOf,
  } = schema as Record<string, never>;
  const map = (of: Schema): Schema => Object.fromEntries(Object.entries(of).map(([k, v]) => [k, strict(v as Schema)]));
  return {
    ...($ref === undefined ? {} : { $ref }),
    ...(type === undefined ? {} : { type }),
    ...(oneOf === undefined ? {} : { enum: oneOf }),
    ...(required === undefined ? {} : { required }),
    ...(items === undefined ? {} : { items: strict(items) }),
    ...(typeof additionalProperties === 'object' ? { additionalProperties: strict(additionalProperties) } : {}),
    ...(properties === undefined ? {} : { properties: map(properties), additionalProperties: false }),
  };
}

/** A definition and all that it refers to. */
function needed(name: string, definitions: Readonly<Record<string, Schema>>): Record<string, Schema> {
  const found: Record<string, Schema> = {};
  const open = [name];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const schema = definitions[next];
    if (schema === undefined || next in found) continue;
    found[next] = schema;
    for (const [, ref = ''] of JSON.stringify(schema).matchAll(/"#\/definitions\/([^"]+)"/g)) open.push(ref);
  }
  return found;
}

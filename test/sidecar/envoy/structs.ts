/** A value that a google.protobuf.Struct can hold. */
export type Plain = null | string | number | boolean | readonly Plain[] | { readonly [name: string]: Plain };

/** An object as a google.protobuf.Struct, as the codec takes it. */
export const structOf = (value: Readonly<Record<string, Plain>>): object => ({
  fields: Object.fromEntries(Object.entries(value).map(([name, item]) => [name, valueOf(item)])),
});

function valueOf(value: Plain): object {
  if (value === null) return { nullValue: 0 };
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'number') return { numberValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  return isList(value) ? { listValue: { values: value.map(valueOf) } } : { structValue: structOf(value) };
}

const isList = (value: Plain): value is readonly Plain[] => Array.isArray(value);

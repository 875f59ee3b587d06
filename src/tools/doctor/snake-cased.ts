const MAX_DEPTH = 100;

/**
 * A bootstrap of Envoy with the names of the proto files. Envoy also takes `clusterName` for `cluster_name`. Names with a dot or dash, such
 * as those of filters, are data and stay.
 */
export function snakeCased(value: unknown, depth = 0): unknown {
  if (depth > MAX_DEPTH) return undefined;
  if (Array.isArray(value)) return value.map((one) => snakeCased(one, depth + 1));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, own]) => [
      /^[a-z][A-Za-z0-9]*$/.test(name) ? name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) : name,
      snakeCased(own, depth + 1),
    ]),
  );
}

import { isObject } from '../../../core/runtime/fields.ts';
import { at, membersAt } from '../tree.ts';
import type { EnvoyConfig } from './envoy-config.ts';

/** A file or folder that a configuration names. */
export interface NamedPath {
  readonly path: string;
  /** The names of the fields that lead to it, such as `validation_context.trusted_ca.filename`. */
  readonly field: string;
  /** `anchors`, by which certificates are verified; `source`, from which configuration arrives. */
  readonly use: 'anchors' | 'source';
}

const MAX_DEPTH = 40;
/** Members whose `filename` has trust anchors, or who is revoked. */
const ANCHORS: ReadonlySet<string> = new Set(['trusted_ca', 'trust_bundle', 'trust_bundles', 'crl']);
/** Members with a `path` from which configuration arrives. All but the first are of sources of the first version. */
const SOURCES: ReadonlySet<string> = new Set([
  'path_config_source',
  'config_source',
  'lds_config',
  'cds_config',
  'eds_config',
  'sds_config',
]);

/** The files of trust anchors and of configuration that a value names. Folders that are watched for them are included. */
export const pathsIn = (value: unknown): readonly NamedPath[] => walk(value, [], null);

/** The same of all that an Envoy is configured with. */
export const pathsOf = ({ bootstrap, clusters, listeners, secrets }: EnvoyConfig): readonly NamedPath[] => {
  const found = [
    at(bootstrap, 'dynamic_resources'),
    ...listeners.map(({ fields }) => fields),
    ...[...clusters.values()].map(({ fields }) => fields),
    ...secrets.values(),
  ].flatMap(pathsIn);
  return [...new Map(found.map((one) => [`${one.use} ${one.path}`, one])).values()];
};

function walk(value: unknown, above: readonly string[], use: NamedPath['use'] | null): readonly NamedPath[] {
  if (above.length > MAX_DEPTH) return [];
  if (Array.isArray(value)) return value.flatMap((one) => walk(one, above, use));
  return membersAt(value).flatMap(([name, own]) => {
    if (!isObject(own) && !Array.isArray(own)) return [];
    const kind = ANCHORS.has(name) ? 'anchors' : SOURCES.has(name) ? 'source' : use;
    const member = kind === 'anchors' && ANCHORS.has(name) ? 'filename' : 'path';
    const path = SOURCES.has(name) || ANCHORS.has(name) || name === 'watched_directory' ? at(own, member) : undefined;
    const named: readonly NamedPath[] =
      typeof path === 'string' && path !== '' && kind !== null
        ? [{ path, use: kind, field: [...above, name, member].slice(-3).join('.') }]
        : [];
    // A folder that is watched for the certificate of Envoy itself is of no use here.
    const inner = name === 'validation_context' || name === 'default_validation_context' ? 'anchors' : kind;
    return named.concat(walk(own, [...above, name], name === 'tls_certificates' ? null : inner));
  });
}

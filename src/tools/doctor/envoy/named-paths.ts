import { isObject } from '../../../core/runtime/fields.ts';
import { at, membersAt } from '../tree.ts';
import type { EnvoyConfig } from './envoy-config.ts';

/** What a file or folder is for: trust anchors, configuration that arrives, a private key, or code that Envoy runs. */
type Use = 'anchors' | 'source' | 'key' | 'code';

/** A file or folder that a configuration names. */
export interface NamedPath {
  readonly path: string;
  /** The names of the fields that lead to it, such as `validation_context.trusted_ca.filename`. */
  readonly field: string;
  readonly use: Use;
}

const MAX_DEPTH = 40;
/** Members whose `filename` has trust anchors or revocation lists. */
const ANCHORS: ReadonlySet<string> = new Set(['trusted_ca', 'trust_bundle', 'trust_bundles', 'crl']);
/**
 * Members with a `path` from which configuration arrives. All but the first are a `ConfigSource`, whose own `path` is deprecated.
 */
const SOURCES: ReadonlySet<string> = new Set([
  'path_config_source',
  'config_source',
  'lds_config',
  'cds_config',
  'eds_config',
  'sds_config',
]);
/** Members whose `filename` has a private key, or the password of one. */
const KEYS: ReadonlySet<string> = new Set(['private_key', 'pkcs12', 'password', 'secret']);
/** Members whose `filename` has a program of Lua. */
const PROGRAMS: ReadonlySet<string> = new Set(['default_source_code', 'source_code']);
/** Parts of a bootstrap that may run code beside its listeners and clusters. */
const BESIDE = ['dynamic_resources', 'bootstrap_extensions', 'stats_sinks'];

/** The files that a value names. Folders that are watched for trust anchors and configuration are included. */
export const pathsIn = (value: unknown): readonly NamedPath[] => walk(value, [], null);

/** The files that the whole configuration of an Envoy names, once for each use. */
export const pathsOf = ({ bootstrap, clusters, listeners, secrets }: EnvoyConfig): readonly NamedPath[] => {
  const managers = listeners.flatMap(({ chains }) => chains.flatMap(({ http }) => http ?? []));
  const found = [
    // Route tables and filters may have arrived separately. If they are inline, their listener, further below, gives the longer
    // `field`.
    ...managers.flatMap(({ tables }) => tables),
    ...managers.flatMap(({ filters }) => filters.map(({ fields }) => fields)),
    ...BESIDE.map((name) => at(bootstrap, name)),
    ...listeners.map(({ fields }) => fields),
    ...[...clusters.values()].map(({ fields }) => fields),
    ...secrets.values(),
  ].flatMap(pathsIn);
  return [...new Map(found.map((one) => [`${one.use} ${one.path}`, one])).values()];
};

function walk(value: unknown, above: readonly string[], use: Use | null): readonly NamedPath[] {
  if (above.length > MAX_DEPTH) return [];
  // A list in a list is no message, and could nest without an end.
  if (Array.isArray(value)) return value.flatMap((one) => (Array.isArray(one) ? [] : walk(one, above, use)));
  return membersAt(value).flatMap(([name, own]) => {
    if (name === 'library_path') return namedBy(own, 'code', [...above, name]);
    if (!isObject(own) && !Array.isArray(own)) return [];
    const kind = ANCHORS.has(name) ? 'anchors' : SOURCES.has(name) ? 'source' : use;
    const file = fileOf(name, above, kind);
    const named = (Array.isArray(own) ? (own as readonly unknown[]) : [own]).flatMap((one) =>
      file === null ? [] : namedBy(at(one, file.member), file.use, [...above, name, file.member]),
    );
    // A folder that is watched for the certificate of Envoy itself is of no use here.
    const inner = name === 'validation_context' || name === 'default_validation_context' ? 'anchors' : kind;
    return named.concat(walk(own, [...above, name], name === 'tls_certificates' ? null : inner));
  });
}

const namedBy = (path: unknown, use: Use, fields: readonly string[]): readonly NamedPath[] =>
  typeof path === 'string' && path !== '' ? [{ path, use, field: fields.slice(-3).join('.') }] : [];

/** The member of a value that has the path of a file, and what that is for; `null` if there is none. */
function fileOf(
  name: string,
  above: readonly string[],
  kind: Use | null,
): { readonly use: Use; readonly member: 'filename' | 'path' } | null {
  const parent = above.at(-1);
  if (ANCHORS.has(name)) return { use: 'anchors', member: 'filename' };
  if (SOURCES.has(name)) return { use: 'source', member: 'path' };
  if (name === 'watched_directory') return kind === null ? null : { use: kind, member: 'path' };
  if (KEYS.has(name) || (name === 'keys' && parent === 'session_ticket_keys'))
    return { use: 'key', member: 'filename' };
  const isCode = PROGRAMS.has(name) || parent === 'source_codes' || (name === 'local' && parent === 'code');
  return isCode ? { use: 'code', member: 'filename' } : null;
}

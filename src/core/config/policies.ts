import { resolve } from 'node:path';
import { integer, made, optional, textLike, textOf, type Reader } from '../runtime/fields.ts';
import { aloneOr, section } from './fields.ts';
import { jwksIn, pathIn } from './values.ts';

/** `from` of a bundle that the authority of a sidecar has. */
export const FROM_AUTHORITY = 'authority';

/** The name of a bundle: what its policies are for, such as `prod/payments`. */
export const bundleName = textLike(
  'a name of at most 128 letters, digits, `.`, `_`, `/` and `-`, such as `prod/payments`',
  (name) => /^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/.test(name),
);

/** Most signatures of one bundle. */
export const MAX_SIGNATURES = 8;

/** The source of the policies. */
export interface PoliciesConfig {
  /** Folder with the schema, the catalog, the entities and the policies. Default `cedar-policies`. */
  readonly folder: string;
  /**
   * A signed bundle instead of the folder. `from`: a file, an `https:` URL or `authority`. `name`: the only name that is taken, so that a
   * bundle for another place is refused even if the same key signed it. `keys`: the keys that may sign it, a file with a JWK Set.
   * `signatures`: how many of them must have, 1 to 8, default 1. `ca`: PEM certificates trusted for the server, default those of the
   * runtime. Default: no bundle.
   */
  readonly bundle: {
    readonly from: string;
    readonly name: string;
    readonly keys: string;
    readonly signatures: number;
    readonly ca: string | null;
  } | null;
  /** Folder of a candidate set, which is evaluated beside the set in force but never enforced. Default none. */
  readonly candidate: string | null;
  /** Interval at which the source is checked for changes. Default 2 s, 1 to 3600. */
  readonly lookSeconds: number;
  /**
   * Longest time that a set may be in force without confirmation by its source. After that every check is denied with `policy.stale`. Must
   * exceed three times `lookSeconds`. Default `null`: no limit; 10 to 2,592,000.
   */
  readonly maxAgeSeconds: number | null;
}

const bundleIn = (folder: string): Reader<string> =>
  textOf('an `https:` URL, a file or `authority`', (value) =>
    value === FROM_AUTHORITY ? value : jwksIn(folder)(value),
  );

/** Reads `policies`: a folder alone, or the section. */
export const policiesSection = (folder: string): Reader<PoliciesConfig> => {
  const defaults = {
    folder: resolve(folder, 'cedar-policies'),
    bundle: null,
    candidate: null,
    lookSeconds: 2,
    maxAgeSeconds: null,
  };
  return aloneOr(
    made(pathIn(folder), (path) => ({ ...defaults, folder: path })),
    made(
      section<PoliciesConfig>({
        folder: optional(pathIn(folder), defaults.folder),
        bundle: optional(
          section({
            from: bundleIn(folder),
            name: bundleName,
            keys: pathIn(folder),
            signatures: optional(integer(1, MAX_SIGNATURES), 1),
            ca: optional(pathIn(folder), null),
          }),
          null,
        ),
        candidate: optional(pathIn(folder), null),
        lookSeconds: optional(integer(1, 3600), defaults.lookSeconds),
        maxAgeSeconds: optional(integer(10, 2_592_000), null),
      }),
      (config) =>
        config.maxAgeSeconds !== null && config.maxAgeSeconds <= config.lookSeconds * 3
          ? { problem: 'must have a `maxAgeSeconds` of more than three times its `lookSeconds`' }
          : config,
    ),
  );
};

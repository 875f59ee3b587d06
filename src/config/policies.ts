import { resolve } from 'node:path';
import { integer, made, optional, textOf, type Reader } from '../runtime/fields.ts';
import { aloneOr, section } from './fields.ts';
import { jwksIn, pathIn } from './values.ts';

/** `from` of a bundle that the authority of a sidecar has. */
export const FROM_AUTHORITY = 'authority';

/** The source of the policies. */
export interface PoliciesConfig {
  /** Folder with the schema, the catalog, the entities and the policies. Default `cedar-policies`. */
  readonly folder: string;
  /**
   * A signed bundle instead of the folder: a file, an `https:` URL or `authority`, the keys that may sign it (a file with a JWK Set), and
   * PEM certificates trusted for the server. Default none; certificates default to those of the runtime.
   */
  readonly bundle: { readonly from: string; readonly keys: string; readonly ca: string | null } | null;
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
export const policies = (folder: string): Reader<PoliciesConfig> => {
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
          section({ from: bundleIn(folder), keys: pathIn(folder), ca: optional(pathIn(folder), null) }),
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

import { resolve } from 'node:path';
import { integer, made, optional, section, shorthandOr } from './fields.ts';
import type { Field } from './fields.ts';
import { jwksIn, pathIn } from './values.ts';

/** Where the policies come from. */
export interface PoliciesConfig {
  /** Folder with the schema, the catalog, the entities and the policies. Default `cedar-policies`. */
  readonly folder: string;
  /**
   * In the place of the folder: the signed bundle in a file or at an `https:` URL, the keys (a JWK Set in a file) that may
   * sign it, and PEM certificates that may vouch for the server. Default none; certificates those of the runtime.
   */
  readonly bundle: { readonly from: string; readonly keys: string; readonly ca: string | null } | null;
  /** A folder with a set that is tried out beside the one in force, never enforced. Default none. */
  readonly candidate: string | null;
  /** How often the source is looked at for changes. Default 2 s, 1 to 3600. */
  readonly lookSeconds: number;
  /**
   * How long a set may be in force without its source having agreed; after that every check is denied with
   * `policy.stale`. Default `null`, for ever; 10 to 2,592,000, and more than three looks.
   */
  readonly maxAgeSeconds: number | null;
}

/** Reads `policies`: a folder alone, or the section. */
export const policies = (folder: string): Field<PoliciesConfig> => {
  const defaults = {
    folder: resolve(folder, 'cedar-policies'),
    bundle: null,
    candidate: null,
    lookSeconds: 2,
    maxAgeSeconds: null,
  };
  return shorthandOr(
    made(pathIn(folder), (path) => ({ ...defaults, folder: path })),
    made(
      section<PoliciesConfig>({
        folder: optional(pathIn(folder), defaults.folder),
        bundle: optional(
          section({ from: jwksIn(folder), keys: pathIn(folder), ca: optional(pathIn(folder), null) }),
          null,
        ),
        candidate: optional(pathIn(folder), null),
        lookSeconds: optional(integer(1, 3600), defaults.lookSeconds),
        maxAgeSeconds: optional(integer(10, 2_592_000), null),
      }),
      (config) =>
        config.maxAgeSeconds !== null && config.maxAgeSeconds <= config.lookSeconds * 3
          ? { problem: 'has a `maxAgeSeconds` of no more than three times its `lookSeconds`' }
          : config,
    ),
  );
};

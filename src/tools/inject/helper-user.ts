import type { YAMLMap } from 'yaml';

/** What the user of a service's container means for its helper: why it cannot work, and what is to be checked. */
export interface HelperUser {
  /** `null` if the container may use the folder of the helper, or sets no user. */
  readonly problem: string | null;
  /** Empty, or that the image decides. */
  readonly warnings: readonly string[];
}

/**
 * Compares the user of the container of a service with that of its helper, whose folder is closed to all users but its own and root. The container's
 * `runAsUser` counts before that of the pod; without either the image decides, which no manifest shows.
 *
 * @param user that of the helper
 */
export function helperUserOf(
  spec: YAMLMap,
  { service, user }: { readonly service: YAMLMap; readonly user: number },
): HelperUser {
  const found = [service, spec].map((one) => one.getIn(['securityContext', 'runAsUser']));
  const set = found.find((value) => typeof value === 'number');
  const name = String(service.get('name'));
  if (set === undefined)
    return {
      problem: null,
      warnings: [
        `\`${name}\` sets no \`runAsUser\`: its image must run as ${user} or as root, since the folder of its helper is closed to all other users`,
      ],
    };
  return set === 0 || set === user
    ? { problem: null, warnings: [] }
    : {
        problem: `runs as user \`${set}\`, which cannot use the folder of its helper: set \`runAsUser: ${user}\`, or 0`,
        warnings: [],
      };
}

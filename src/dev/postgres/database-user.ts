import { userInfo } from 'node:os';

/** The superuser of every PostgreSQL here. */
export const SUPERUSER = 'postgres';

/**
 * A command and its arguments, run as a user that PostgreSQL accepts: it refuses root, so root runs it as `nobody` of a user namespace of
 * its own, in which root's files are nobody's.
 */
export function asDatabaseUser(command: string, args: readonly string[]): readonly [string, readonly string[]] {
  if (userInfo().uid !== 0) return [command, args];
  return ['unshare', ['--user', '--map-user=65534', '--map-group=65534', command, ...args]];
}

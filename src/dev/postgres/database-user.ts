import { userInfo } from 'node:os';

/** The superuser of every PostgreSQL here. */
export const SUPERUSER = 'postgres';

/**
 * A command and its arguments, run as a user that PostgreSQL accepts. It refuses root, so for root the command runs as `nobody`
 * in a new user namespace, in which root's files belong to `nobody`.
 */
export function asDatabaseUser(command: string, args: readonly string[]): readonly [string, readonly string[]] {
  if (userInfo().uid !== 0) return [command, args];
  return ['unshare', ['--user', '--map-user=65534', '--map-group=65534', command, ...args]];
}

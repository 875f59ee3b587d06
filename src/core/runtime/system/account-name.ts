import { statSync } from 'node:fs';
import { userInfo } from 'node:os';

/** The name of the account this process runs as, or `uid N` if the machine has no name for it, as in a container. */
export function accountName(): string {
  try {
    return userInfo().username;
  } catch {
    // The account has no entry in the user database.
    return `uid ${statSync('/proc/self', { throwIfNoEntry: false })?.uid ?? 'unknown'}`;
  }
}

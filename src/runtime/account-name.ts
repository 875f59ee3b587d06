import { statSync } from 'node:fs';
import { userInfo } from 'node:os';

/** The account of the machine this process runs as; `uid N` where the machine has no name for it, as in a container. */
export function accountName(): string {
  try {
    return userInfo().username;
  } catch {
    // Only the name cannot be looked up.
    return `uid ${statSync('/proc/self', { throwIfNoEntry: false })?.uid ?? 'unknown'}`;
  }
}

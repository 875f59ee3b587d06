import { existsSync, readFileSync } from 'node:fs';
import { MAX_LEASE_SECONDS } from '../../core/config/authority.ts';
import { replacePrivateFile } from '../../core/runtime/system/private-write.ts';

/** The longest lease that a sidecar of a state file may still have, in a file beside it. */
export interface LeaseFile {
  /** The longest lease that a process over this state file may have given, including this process. */
  readonly longestMs: number;
  /** Notes that all leases of former processes are over. Call it `longestMs` after the start, or later. */
  readonly formerAreOver: () => void;
}

/**
 * Notes that leases of `leaseMs` are given from now on, and gives the longest lease that a former process may have given: so a process that
 * starts with a smaller lease waits for those of the previous process. A file without a number counts as the longest possible lease. Throws
 * if it cannot be written.
 *
 * @param suffix unique, for a temporary file
 */
export function openLeaseFile(
  state: string,
  { leaseMs, suffix }: { readonly leaseMs: number; readonly suffix: string },
): LeaseFile {
  const path = `${state}.lease`;
  const longestMs = Math.max(leaseMs, formerIn(path) ?? leaseMs);
  const write = (ms: number): void => replacePrivateFile(path, `${ms}\n`, suffix);
  // INVARIANT: the longer lease stays in the file until it is over, so that a process that ends earlier leaves it to the next.
  write(longestMs);
  return {
    longestMs,
    formerAreOver: () => {
      try {
        if (longestMs !== leaseMs) write(leaseMs);
      } catch {
        // The longer lease stays: the only effect is that the next process waits longer than needed.
      }
    },
  };
}

/** `null` if there is no file. */
function formerIn(path: string): number | null {
  if (!existsSync(path)) return null;
  const text = readFileSync(path, 'utf8');
  return /^[1-9]\d{0,4}\n$/.test(text) ? Number(text) : MAX_LEASE_SECONDS * 1_000;
}

import { printable } from '../ledger/timeline-text.ts';
import type { Problem } from '../token/members.ts';

/** Longest name of a person, in characters. */
const MAX_NAME = 128;

/**
 * Who changes a task by hand, as its records say: `operator NAME`, and the account of the machine behind a name that is not its
 * own: `operator Ada Lovelace (account root)`. The name is that of `--by`, else the one that `sudo` was called by (`SUDO_USER`),
 * else the account. The operating system vouches for the account alone; the name is what whoever holds that account says.
 */
export function operatorOf(
  by: string | undefined,
  {
    environment,
    account,
  }: { readonly environment: Readonly<Record<string, string | undefined>>; readonly account: string },
): string | Problem {
  if (by !== undefined && (by.trim() === '' || by.length > MAX_NAME || printable(by) !== by)) {
    return { problem: `must be a name of 1 to ${MAX_NAME} printable characters` };
  }
  const { SUDO_USER: caller = '' } = environment;
  const name = by?.trim() ?? (/^[\w.@-]{1,64}$/.test(caller) ? caller : account);
  return `operator ${name}${name === account ? '' : ` (account ${account})`}`;
}

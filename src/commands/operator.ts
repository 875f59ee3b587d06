import { printable } from '../ledger/timeline-text.ts';
import type { Problem } from '../runtime/problem.ts';

/** Longest name of a person, in characters. */
const MAX_NAME = 128;

/**
 * Who changes a task by hand, as recorded: `operator NAME`, followed by the machine account where it differs: `operator Ada
 * Lovelace (account root)`. The name is that of `--by`, else of the caller of `sudo` (`SUDO_USER`), else the account. The
 * operating system vouches only for the account.
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

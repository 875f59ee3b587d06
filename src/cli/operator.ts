import { accountName } from '../core/runtime/system/account-name.ts';
import { printable } from '../core/ledger/timeline-text.ts';
import { isProblem } from '../core/runtime/problem.ts';
import type { Problem } from '../core/runtime/problem.ts';
import type { CommandIo } from './command.ts';
import { taskRefusal } from './task/task-source.ts';
import type { CommandRefusal } from './task/task-source.ts';

/** Longest name of a person, in characters. */
const MAX_NAME = 128;

/**
 * Who changes a task by hand, as recorded: `operator NAME`, followed by the machine account if it differs: `operator Ada
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

/** Options of commands that change something by hand, for the record of it. */
export const operatorOptions = { cause: { type: 'string' }, by: { type: 'string' } } as const;

/** Longest `--cause`, in characters. */
const MAX_CAUSE = 256;

/** Who changes something by hand, and why, from `operatorOptions`; a refusal without a `--cause` of 1 to 256 characters. */
export function operationOf(
  { cause = '', by }: { readonly cause?: string | undefined; readonly by?: string | undefined },
  environment: CommandIo['environment'],
): { readonly cause: string; readonly by: string } | CommandRefusal {
  if (cause === '') return taskRefusal('--cause is required: the reason, for readers of the record');
  if (cause.length > MAX_CAUSE) return taskRefusal(`--cause must have at most ${MAX_CAUSE} characters`);
  const operator = operatorOf(by, { environment, account: accountName() });
  return isProblem(operator) ? taskRefusal(`--by ${operator.problem}`) : { cause, by: operator };
}

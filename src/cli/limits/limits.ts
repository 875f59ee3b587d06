/** `remit limits`: shows what is used of limits over all tasks. */
import { printable } from '../../core/ledger/timeline-text.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import { limitUseJson } from '../../core/state/limit-use.ts';
import type { LimitUse } from '../../core/state/limit-use.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { optionsFrom } from '../options.ts';
import { reading } from '../state/opened-state.ts';
import { isCommandRefusal, sourceOptions, stateOf, taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';

const help = `remit limits: show what is used of limits over all tasks (limits.yaml)

usage: remit limits [--limit ID]

  --limit ID      of one limit; default of all
  --config FILE   the configuration of an authority, whose state is used; default /etc/remit/remit.yaml
  --state FILE    the state file, instead of --config
  --json          an array: limit, counts, who, max, used, left, and starts and ends of the window

Prints a line for each counter of the current windows, the most used first, at most 1,000: the limit, what it counts and for whom (the values of
\`per\`, in its order), how much is used, and when the window ends. What sidecars were lent counts as used. Open tasks are not counters:
\`remit task list\` shows them.

  remit limits
  remit limits --limit payments-a-day --json

exit codes: 0 success, 2 bad use or a state that cannot be used`;

/** Runs `remit limits` with the words after its name; the exit code is the answer. */
export async function limits(
  args: readonly string[],
  io: Pick<CommandIo, 'environment' | 'out' | 'err'>,
): Promise<number> {
  const shown = await shownLimits(args, io);
  if (isCommandRefusal(shown)) return refused(io, 'remit limits', shown);
  io.out(shown);
  return EXIT.good;
}

async function shownLimits(
  args: readonly string[],
  io: Pick<CommandIo, 'environment'>,
): Promise<string | CommandRefusal> {
  const options = optionsFrom(args, { ...sourceOptions, limit: { type: 'string' } }, 0);
  if (typeof options === 'string') return taskRefusal(options);
  const { json = false, limit, ...values } = options.values;
  const source = await stateOf(values, io);
  if (isCommandRefusal(source)) return source;
  return reading(source, async (state) => {
    const uses = await state.limitUses(limit === undefined ? {} : { limit });
    if (isStoreFailure(uses)) return taskRefusal(uses.detail);
    if (json) return JSON.stringify(uses.map(limitUseJson));
    return uses.length === 0 ? 'nothing is used of any limit' : uses.map(lineOf).join('\n');
  });
}

function lineOf(use: LimitUse): string {
  const { counts, ends, limit, max, used, who } = limitUseJson(use);
  const of = who.length === 0 ? 'all together' : who.join(' ');
  return printable(`${limit}  ${counts}  ${of}  ${used} of ${max}  until ${ends}`);
}

/** `remit limits`. */
export const limitsCommand: Command = { name: 'limits', help, run: limits };

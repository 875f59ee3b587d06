/** `remit limits`: shows what is used of limits over all tasks. */
import { printable } from '../../core/ledger/timeline-text.ts';
import { printableJson } from '../../core/ledger/printable-json.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import { openTaskUses } from '../../core/limit/open-task-uses.ts';
import type { Limit } from '../../core/limit/limit.ts';
import { limitUseJson, openTaskUseJson } from '../../core/state/limit-use.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { optionsFrom } from '../options.ts';
import { configuredFolder, policySetAt } from '../policy/policy-operand.ts';
import { reading } from '../state/opened-state.ts';
import { isCommandRefusal, sourceOptions, stateOf, taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';

const help = `remit limits: show what is used of limits over all tasks (limits.yaml)

usage: remit limits [--limit ID] [--policies PATH]

  --limit ID      of one limit; default of all
  --policies PATH the policy folder or bundle whose limits of open tasks are shown too; default the folder that --config names
  --config FILE   the configuration of an authority, whose state is used; default /etc/remit/remit.yaml
  --state FILE    the state file, instead of --config
  --json          an array: limit, counts, who, max, used, left, and starts and ends of the window

Prints a line for each counter of the current windows, the most used first, at most 1,000: the limit, what it counts and for whom (the values of
\`per\`, in its order), how much is used, and when the window ends. What sidecars were lent counts as used. Then, for each limit of open tasks in the
policies, how many are open.

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
  io: Pick<CommandIo, 'environment' | 'err'>,
): Promise<string | CommandRefusal> {
  const options = optionsFrom(args, { ...sourceOptions, limit: { type: 'string' }, policies: { type: 'string' } }, 0);
  if (typeof options === 'string') return taskRefusal(options);
  const { json = false, limit, policies, ...values } = options.values;
  const bounding = await limitsOf(policies, values, io);
  if (isCommandRefusal(bounding)) return bounding;
  const source = await stateOf(values, io);
  if (isCommandRefusal(source)) return source;
  return reading(source, async (state) => {
    const uses = await state.limitUses(limit === undefined ? {} : { limit });
    const open = await state.openTaskCounts();
    if (isStoreFailure(uses)) return taskRefusal(uses.detail);
    if (isStoreFailure(open)) return taskRefusal(open.detail);
    const openUses = openTaskUses(
      bounding.filter(({ id }) => limit === undefined || id === limit),
      open,
    );
    const shown = [...uses.map(limitUseJson), ...openUses.map(openTaskUseJson)];
    if (json) return printableJson(shown);
    return shown.length === 0 ? 'nothing is used of any limit' : shown.map(lineOf).join('\n');
  });
}

/** The limits of the policies that are named, or that the configuration names; none if neither names any. */
async function limitsOf(
  named: string | undefined,
  values: { readonly config?: string | undefined; readonly state?: string | undefined },
  io: Pick<CommandIo, 'environment' | 'err'>,
): Promise<readonly Limit[] | CommandRefusal> {
  const path = named ?? (await configuredFolder(values, io));
  if (path === null) return [];
  const set = await policySetAt(path, undefined);
  if (!isCommandRefusal(set)) return set.limits;
  if (named !== undefined) return set;
  // The counters are shown even if the policies cannot be loaded.
  io.err(`remit limits: open tasks are not shown: ${set.message}`);
  return [];
}

function lineOf({
  counts,
  ends,
  limit,
  max,
  used,
  who,
}: ReturnType<typeof limitUseJson> | ReturnType<typeof openTaskUseJson>): string {
  const of = who.length === 0 ? 'all together' : who.join(' ');
  return printable(`${limit}  ${counts}  ${of}  ${used} of ${max}  ${ends === null ? 'now' : `until ${ends}`}`);
}

/** `remit limits`. */
export const limitsCommand: Command = { name: 'limits', help, run: limits };

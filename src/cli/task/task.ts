/** `remit task`: list, show, suspend, resume or end tasks. */
import type { Command, CommandIo } from '../command.ts';
import { withSubcommands } from '../subcommands.ts';
import { taskAllow } from './task-allow.ts';
import { taskChange, taskEnd } from './task-change.ts';
import { taskList } from './task-list.ts';
import { taskShow } from './task-show.ts';

const help = `remit task: list, show, suspend, resume or end tasks, or allow like tasks again

usage: remit task list [--in STATE] [--agent SPIFFE-ID] [--limit N]
       remit task show ID [--received DIR]
       remit task end ID --cause TEXT [--by NAME] [--as revoked|cancelled|completed] [--wait enforced|committed]
       remit task suspend ID --cause TEXT [--by NAME] [--wait enforced|committed]
       remit task resume ID --cause TEXT [--by NAME] [--wait enforced|committed]
       remit task allow ID --cause TEXT [--by NAME]

  --config FILE   the configuration whose state is used: a file or a PostgreSQL; default /etc/remit/remit.yaml
  --state FILE    the state file, instead of --config
  --ledger DIR    show: the ledger; default the one of the configuration, or \`ledger\` beside the state file
  --received DIR  show: the records of sidecars, if an authority keeps them, or a copy of them
  --json          list: an array of tasks; show: the task and its records; else the task, and \`enforcement\` with the receipt
  --in STATE      active, suspended, completed, cancelled, revoked or expired
  --limit N       the newest N tasks, 1 to 1000; default 50
  --cause TEXT    the reason, for readers of the record
  --by NAME       who does it, for the record; default the caller of sudo, else the account, which is always recorded
  --as END        how it ends; default revoked
  --wait WORD     committed: once it is on disk; enforced, the default: once no sidecar can use the older state either

A task that is ended or suspended here is refused from the very next call, even while \`remit serve\` runs, and
so are all of its parts. If the configuration serves sidecars (\`authority.listen\`), the running authority is asked at its admin address
for the receipt: how many sidecars held the task, acknowledged the change, or lost their lease instead. It is recorded, too. After a resume earlier tokens stay revoked: the agent asks for a new one. Parts that were suspended
with a task must be resumed separately.

After the end of a task that somebody else stopped, its agent waits before it declares a like one (\`issuer.stoppedTaskWaitSeconds\`);
\`allow\` ends the wait for the actions of that task. While a task is suspended, \`resume\` does.

\`show\` also says what of the budgets of a task sidecars were lent, and have not given back: that counts as spent.

  remit task list --in active
  remit task show 019ab77e-5d3c-7a41-9f60-2f0b8c1d7e55
  remit task end 019ab77e-5d3c-7a41-9f60-2f0b8c1d7e55 --cause 'agent is compromised'

exit codes: 0 success, 1 no such task, its state does not allow it, or sidecars may still use the older state, 2 bad use or a state that cannot be used`;

/** Runs `remit task` with the words after its name; the exit code is the answer. */
export const task = withSubcommands<Pick<CommandIo, 'err' | 'environment'>>(
  'task',
  new Map([
    ['list', taskList],
    ['show', taskShow],
    ['end', taskEnd],
    ['suspend', taskChange('suspend')],
    ['resume', taskChange('resume')],
    ['allow', taskAllow],
  ]),
);

/** `remit task`. */
export const taskCommand: Command = { name: 'task', help, run: task };

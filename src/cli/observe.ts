/** `remit observe`: list what is observed and whether it is ready to be enforced, and end it. */
import { refused } from './command.ts';
import type { Command } from './command.ts';
import { placeHelp } from './intent/issuer-options.ts';
import { LEDGER_HELP } from './ledger/ledger-source.ts';
import { RECEIVED_HELP } from './ledger/received-source.ts';
import { isEmergencyId, observeEmergencies, observeEmergencyEnd, observeStart } from './observe/emergency.ts';
import { observeEnd } from './observe/observe-end.ts';
import { observeList } from './observe/observe-list.ts';
import type { ObserveIo } from './observe/observed-records.ts';
import type { CommandRefusal } from './task/task-source.ts';

/** The options of an issuer, without those for the life of a task. */
const ISSUER_HELP = placeHelp.slice(placeHelp.indexOf('  --issuer URL'));

const help = `remit observe: list what is observed and whether it is ready to be enforced, end it, or observe in an emergency

usage: remit observe [--agent SPIFFE-ID] [--since TIME] [OPTION ...]
       remit observe end ENTRY [--agent SPIFFE-ID | --server NAME] [--write] [OPTION ...]
       remit observe end --agent SPIFFE-ID [--write] [OPTION ...]
       remit observe start --agents PATTERN... [--servers NAME...] [--minutes N] --because TEXT [ISSUER OPTION ...]
       remit observe end EMERGENCY [--because TEXT] [ISSUER OPTION ...]
       remit observe emergencies [ISSUER OPTION ...]

  --agent SPIFFE-ID   only this agent, with each action, and each reason for which its calls would be denied
  --since TIME        start of the records that are read: 14d for fourteen days ago (s, m, h, d), 2026-01-02, or
                      2026-01-02T03:04:05Z; default 14d
  --days N            ready: seen on at least N days (UTC), 1 to 90; default 7
  --quiet TIME        ready: no action was first seen in the last 24h (the default), up to 30d
  --clean TIME        ready: no call of the last 3d (the default) would be denied, unless that is decided; up to 30d
  --decided NAME      this is decided: a reason, an action, or a call as it is listed; repeatable. What a forbid of the policies denies is
                      decided anyhow
  --policies FOLDER   the policy folder with \`enforcement.yaml\`; default that of the configuration
${LEDGER_HELP}
${RECEIVED_HELP}
  --server NAME       end: only this server of the entry, an id of the catalog or a host
  --write             end: also write it to \`enforcement.yaml\`
  --json              one object: from, to, rule, read, left, entries

In an emergency, at the running authority and so at every sidecar, with the SVID of an identity in \`enforcement.emergency.operators\`:

  --agents PATTERN    start: whose calls are only observed, as in \`enforcement.yaml\`: a SPIFFE ID, a pattern, or '*' with --servers;
                      repeatable
  --servers NAME      start: at which servers: an id of the catalog, or a host that it lacks; repeatable; default every server
  --minutes N         start: for how long, 1 to 60; default 15
  --because TEXT      why, such as INC-42, for readers of the record; end: default \`ended by an operator\`
  EMERGENCY           end: the id that \`start\` printed, 16 hexadecimal digits
${ISSUER_HELP}
  --json              the emergency, with \`enforcement\`: the receipt; emergencies: a list

Of each entry of \`enforcement.yaml\` it prints the end and the owner, and of each agent that records show under it: on how many days it was
seen, its calls and distinct actions, how many actions were first seen on each of the last seven days, for which reasons its calls would be
denied with an example of each (\`remit explain ID\` says more), and whether it is ready, or why not and what to do. Calls that the catalog does
not know are told apart by method and path; values in a path count as one action. An action is new once more when the catalog learns it.

\`end\` prints the change of \`enforcement.yaml\` that enforces an entry, an agent, or a server of an entry, as \`git apply\` takes it in the policy
folder; only lines that change are touched. An entry without agents or servers goes. A pattern cannot leave one agent out, so it becomes the agents
that records of 90 days show: all others are enforced then too.

Records are read beside a running \`remit serve\`, and not verified; gaps and records that cannot be parsed are counted and said.

  remit observe
  remit observe --agent spiffe://acme.test/ns/legacy/sa/biller --since 30d
  remit observe end --agent spiffe://acme.test/ns/legacy/sa/biller > enforce.patch
  remit observe end payments-legacy --server files --write
  remit observe start --agents 'spiffe://acme.test/ns/billing/*' --servers payments --minutes 30 --because INC-42 --config operator.yaml

exit codes: 0 printed, 1 with --agent: not ready, or not seen; end: nothing to end; start, end: not allowed, or sidecars may still decide by the older state; 2 bad use, a policy folder with findings, or a ledger that cannot be read`;

/** `remit observe`. */
export const observeCommand: Command = { name: 'observe', help, run: runObserve };

/** A subcommand: its exit code, or why it refuses. */
type Subcommand = (args: readonly string[], io: ObserveIo) => Promise<number | CommandRefusal>;

/** The subcommands by their first word; without such a word the list is printed. */
const subcommands: ReadonlyMap<string, Subcommand> = new Map([
  ['start', observeStart],
  ['end', (args, io) => (args.some(isEmergencyId) ? observeEmergencyEnd : observeEnd)(args, io)],
  ['emergencies', observeEmergencies],
]);

/** Runs `remit observe`; the exit code is the answer. */
export async function runObserve(args: readonly string[], io: ObserveIo): Promise<number> {
  const [word = ''] = args;
  const subcommand = subcommands.get(word);
  const result = await (subcommand === undefined ? observeList(args, io) : subcommand(args.slice(1), io));
  io.progress?.('');
  return typeof result === 'number'
    ? result
    : refused(io, subcommand === undefined ? 'remit observe' : `remit observe ${word}`, result);
}

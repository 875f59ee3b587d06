/** `remit stop`: stops an agent, a user, a server, an action or everything, and lifts that. */
import type { Command } from '../command.ts';
import { withSubcommands } from '../subcommands.ts';
import type { Subcommand } from '../subcommands.ts';
import type { StopIo } from './stop-options.ts';
import { stopLift } from './stop-lift.ts';
import { stopList } from './stop-list.ts';
import { stopMake } from './stop-make.ts';

const help = `remit stop: deny every call of an agent, for a user, to a server, of an action, or everything

usage: remit stop agent SPIFFE-ID --because TEXT [--minutes N] [--by NAME] [--wait enforced|committed]
       remit stop user SUBJECT | 'ISSUER SUBJECT' --because TEXT [--minutes N] [--by NAME] [--wait enforced|committed]
       remit stop server ID --because TEXT [--minutes N] [--by NAME] [--wait enforced|committed]
       remit stop action ID --because TEXT [--minutes N] [--by NAME] [--wait enforced|committed]
       remit stop all --because TEXT [--minutes N] [--by NAME] [--yes-everything] [--wait enforced|committed]
       remit stop list
       remit stop lift ID [--because TEXT] [--by NAME] [--wait enforced|committed]

  --because TEXT     the reason, for readers of the record, at most 200 characters
  --minutes N        how long it holds, 1 to 525600; default until it is lifted
  --yes-everything   all: without asking; required without a terminal
  --config FILE      the configuration of an authority, whose state is used; default /etc/remit/remit.yaml
  --state FILE       the state file, instead of --config
  --by NAME          who does it, for the record; default the caller of sudo, else the account, which is always recorded
  --wait WORD        committed: once it is on disk; enforced, the default: once no sidecar can decide without it either
  --json             the stop, and \`enforcement\` with the receipt; list: an array of stops

A stop denies whatever the credential is: a task token, a token of another issuer, the identity alone; also calls that are only observed. The issuer
refuses tokens for it too: new tasks, renewals, exchanges, parts. In SPIFFE-ID, \`*\` stands for any part of a segment of the path, and \`/*\` at
its end for all that follows: quote it. A stopped agent stops the parts of its tasks at other agents as well. SUBJECT is the \`sub\` of tasks, as
\`remit task list\` shows it; with ISSUER, tokens of other issuers are left alone.

If the configuration serves sidecars (\`authority.listen\`), the running authority is asked at its admin address for the receipt: how many sidecars
there are, how many have acknowledged, how many lost their lease instead. It is recorded, too. A stop survives restarts; operators alone lift
it. An open stream lives until Envoy ends it: deploy/guide/operate/stop.md. \`list\` says which stops no authority wrote (\`unsealed-row\`): they hold too.

  remit stop agent spiffe://acme.test/ns/agents/sa/planner --because 'INC-42: deletes tickets'
  remit stop agent 'spiffe://acme.test/ns/agents/*' --minutes 30 --because INC-42
  remit stop list
  remit stop lift 3f9a0c51d27be846

exit codes: 0 done, 1 no such stop, not confirmed, or sidecars may still decide without it, 2 bad use or a state that cannot be used`;

/** Runs `remit stop` with the words after its name; the exit code is the answer. */
export const stop = withSubcommands<StopIo>(
  'stop',
  new Map<string, Subcommand<StopIo>>([
    ...(['agent', 'user', 'server', 'action', 'all'] as const).map((kind) => [kind, stopMake(kind)] as const),
    ['list', stopList],
    ['lift', stopLift],
  ]),
);

/** `remit stop`. */
export const stopCommand: Command = { name: 'stop', help, run: stop };

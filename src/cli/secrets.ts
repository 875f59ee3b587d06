/** `remit secrets`: list the long-lived secrets that agents sent. */
import { printable } from '../core/ledger/timeline-text.ts';
import { printableJson } from '../core/ledger/printable-json.ts';
import { isStoreFailure } from '../core/runtime/store-failure.ts';
import type { SecretSighting } from '../core/state/secret-sighting.ts';
import type { Command, CommandIo } from './command.ts';
import { optionsFrom } from './options.ts';
import { withSubcommands } from './subcommands.ts';
import { reading } from './state/opened-state.ts';
import { isCommandRefusal, taskRefusal, sourceOptions, stateOf } from './task/task-source.ts';
import type { CommandRefusal } from './task/task-source.ts';

const MAX_LISTED = 10_000;

const help = `remit secrets: list the long-lived secrets that agents sent

usage: remit secrets list

  --config FILE   the configuration whose state is used; default /etc/remit/remit.yaml
  --state FILE    the state file, instead of --config
  --json          an array, with instants in milliseconds since 1970

Prints one line for each, the last seen first: its digest, what it looks like, where it was found, the agent, the action, when
it was first and last seen, and how often. The secret itself is never stored. Its digest uses a key of the state, so
that nobody can guess a weak secret from this list, and it differs in another state. A call with a static secret is
refused as \`token.static-secret\`, unless an exception under \`staticSecrets\` in actions.yaml names its digest or header, an
owner and the last day.

  remit secrets list --json

exit codes: 0 success, 2 bad use or a state file that cannot be used`;

async function list(args: readonly string[], io: Pick<CommandIo, 'environment'>): Promise<string | CommandRefusal> {
  const options = optionsFrom(args, sourceOptions, 0);
  if (typeof options === 'string') return taskRefusal(options);
  const source = await stateOf(options.values, io);
  if (isCommandRefusal(source)) return source;
  return reading(source, async (state) => {
    const found = await state.staticSecrets(MAX_LISTED);
    if (isStoreFailure(found)) return taskRefusal(found.detail);
    if (options.values.json === true) return printableJson(found);
    return found.length === 0 ? 'no static secrets' : found.map(lineOf).join('\n');
  });
}

const lineOf = ({ digest, kind, place, agent, action, firstSeenMs, lastSeenMs, count }: SecretSighting): string => {
  const [first, last] = [firstSeenMs, lastSeenMs].map((ms) => new Date(ms).toISOString());
  return printable(`${digest}  ${kind}  ${place}  ${agent}  ${action || '-'}  ${first}  ${last}  ${count}`);
};

/** `remit secrets`. */
export const secrets: Command = { name: 'secrets', help, run: withSubcommands('secrets', new Map([['list', list]])) };

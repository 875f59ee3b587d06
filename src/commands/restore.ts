import { resolve } from 'node:path';
import { accountName } from '../runtime/account-name.ts';
import { systemPorts } from '../runtime/ports.ts';
import { restoreBackup } from '../state/backup/restore-backup.ts';
import type { Restored } from '../state/backup/restore-backup.ts';
import { isProblem } from '../runtime/problem.ts';
import { EXIT } from './command.ts';
import type { Command, CommandIo } from './command.ts';
import { copyProgress } from './copy-progress.ts';
import { keptPlacesOf, placeOptions } from './kept-places.ts';
import { operatorOf } from './operator.ts';
import { optionsFrom } from './options.ts';
import { isCommandRefusal, type CommandRefusal, refusal, refused } from './task-source.ts';

const help = `remit restore: restore a backup

usage: remit restore BACKUP [OPTION ...]

  BACKUP          a folder made by \`remit backup\`, or a copy of a state file alone
  --config FILE   the configuration that names the paths; default /etc/remit/remit.yaml
  --state FILE    the path of the state file, instead of --config; its ledger is the folder \`ledger\` beside it
  --ledger DIR    with --state: the folder of its ledger
  --state-only    restore only the state file; the ledger stays in place and is continued
  --by NAME       who restores, for the records; default the caller of sudo, or the account
  --json          print what was done, as JSON

Overwrites nothing, and no process may serve with the state file. What ended or was spent after the backup does not come back:
each open task ends, with a record, so every earlier token is refused and agents declare their tasks again. The ledgers of
the backup are put beside the ledger folder, for reading and verifying; \`remit serve\` starts a new ledger, whose restore
record names the ends of the old ones. Keys are restored where the backup has them. Run it as the account that serves.

  remit restore /mnt/backups/remit-2026-11-26
  remit restore --state-only --by "Ada Lovelace" /mnt/backups/remit-2026-11-26

exit codes: 0 everything is in its place, 1 the restore failed and changed nothing, 2 bad use`;

/** `remit restore`. */
export const restoreCommand: Command = {
  name: 'restore',
  help,
  run: async (args, io) => {
    const restored = await putBack(args, io);
    if (isCommandRefusal(restored)) return refused(io, 'remit restore', restored);
    io.out(restored);
    return EXIT.good;
  },
};

async function putBack(args: readonly string[], io: CommandIo): Promise<string | CommandRefusal> {
  const options = optionsFrom(
    args,
    {
      ...placeOptions,
      'state-only': { type: 'boolean', default: false },
      by: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
    1,
  );
  if (typeof options === 'string') return refusal(options);
  const { values, operands } = options;
  const [backup] = operands;
  if (backup === undefined) return refusal('the folder of the backup is required');
  const by = operatorOf(values.by, { environment: io.environment, account: accountName() });
  if (isProblem(by)) return refusal(`--by ${by.problem}`);
  const kept = await keptPlacesOf(values, io);
  if (isCommandRefusal(kept)) return kept;
  const progress = copyProgress('remit restore', io);
  const places = {
    state: kept.state,
    ledger: kept.ledger,
    others: kept.others,
    keys: new Map(kept.keys.map(({ of, path }) => [of, path])),
    isStateOnly: values['state-only'],
  };
  const restored = await restoreBackup(resolve(backup), places, {
    clocks: systemPorts,
    randomBytes: systemPorts.randomBytes,
    by,
    onProgress: progress.at,
  });
  progress.end();
  if (isProblem(restored)) return refusal(restored.problem, EXIT.no);
  return values.json ? JSON.stringify(restored) : textOf(restored);
}

function textOf({ state, ended, ledgers, keys }: Restored): string {
  return [
    `state file ${state}: ${ended} open tasks were ended; agents declare theirs again`,
    ...ledgers.map((ledger) => `ledger ${ledger}: for reading; \`remit serve\` starts a new one`),
    ...(ledgers.length === 0
      ? []
      : [`timelines include it where the configuration has \`ledger: { others: [${ledgers.join(', ')}] }\``]),
    ...keys.map((key) => `keys ${key}`),
  ].join('\n');
}

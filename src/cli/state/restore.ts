/** `remit restore`: restore a backup. */
import { resolve } from 'node:path';
import { postgresTargetFrom } from '../../core/config/postgres-url.ts';
import { accountName } from '../../core/runtime/system/account-name.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { restoredOrdersText } from '../../core/state/restored-orders.ts';
import { restoreBackup } from '../../authority/state/backup/restore-backup.ts';
import type { Restored } from '../../authority/state/backup/restore-backup.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import { restoreDatabase } from '../../authority/state/postgres/restore-database.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { copyProgress } from './copy-progress.ts';
import { keptPlacesOf, placeOptions } from '../ledger/kept-places.ts';
import { operatorOf } from '../operator.ts';
import { optionsFrom } from '../options.ts';
import { isCommandRefusal, type CommandRefusal, taskRefusal } from '../task/task-source.ts';

const help = `remit restore: restore a backup

usage: remit restore BACKUP [OPTION ...]
       remit restore --state postgres://… [--by NAME] [--json]

  BACKUP          a folder made by \`remit backup\`, or a copy of a state file alone
  --config FILE   the configuration that names the paths; default /etc/remit/remit.yaml
  --state FILE    the path of the state file, instead of --config; its ledger is the folder \`ledger\` beside it
  --state URL     a PostgreSQL that its own tools have restored, or whose primary lacked commits when it was promoted
  --ledger DIR    with --state: the folder of its ledger
  --state-only    restore only the state file; the ledger stays in place and is continued
  --by NAME       who restores, for the records; default the caller of sudo, or the account
  --json          print what was done, as JSON

Overwrites nothing, and no process may serve with the state file. What ended or was spent after the backup does not come back:
each open task ends, with a record, so every earlier token is refused and agents declare their tasks again. The ledgers of
the backup are put beside the ledger folder, for reading and verifying; \`remit serve\` starts a new ledger, whose restore
record names the ends of the old ones. Keys are restored if the backup has them. Run it as the account that serves.

In a PostgreSQL it ends each open task in the same way. From its first step on, authorities write nothing and renew no lease; at its last
one they end, so that their supervisor starts them again. Sidecars refuse the tasks once their leases are over. Run it again if it was
interrupted: until it is complete, no authority serves from that database. The role of the authorities may run it.

  remit restore /mnt/backups/remit-2026-11-26
  remit restore --state-only --by "Ada Lovelace" /mnt/backups/remit-2026-11-26
  remit restore --state 'postgres://remit_authority@db.acme.test/remit?passwordfile=/run/secrets/database'

exit codes: 0 everything is in its place, 1 the restore failed, and changed no state file, 2 bad use`;

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
  if (typeof options === 'string') return taskRefusal(options);
  const { values, operands } = options;
  const [backup] = operands;
  const by = operatorOf(values.by, { environment: io.environment, account: accountName() });
  if (isProblem(by)) return taskRefusal(`--by ${by.problem}`);
  if (/^postgres(?:ql)?:/.test(values.state ?? '')) {
    if (backup !== undefined || values.ledger !== undefined || values['state-only'])
      return taskRefusal('a PostgreSQL is restored with its own tools: give only its URL here, with --by and --json');
    return restoredDatabase(values.state ?? '', { by, isJson: values.json });
  }
  if (backup === undefined) return taskRefusal('the folder of the backup is required');
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
  if (isProblem(restored)) return taskRefusal(restored.problem, EXIT.no);
  return values.json ? JSON.stringify(restored) : restoredText(restored);
}

async function restoredDatabase(
  url: string,
  { by, isJson }: { readonly by: string; readonly isJson: boolean },
): Promise<string | CommandRefusal> {
  const target = postgresTargetFrom(url);
  if (isProblem(target)) return taskRefusal(`--state ${target.problem}`);
  const restored = await restoreDatabase(target, { clocks: systemPorts, randomBytes: systemPorts.randomBytes, by });
  if (isStoreFailure(restored)) return taskRefusal(restored.detail, EXIT.no);
  if (isJson) return JSON.stringify(restored);
  return `${restored.ended} open tasks were ended; agents declare theirs again. Authorities start again; sidecars refuse these tasks once their leases are over\n${restoredOrdersText(restored)}`;
}

function restoredText({ state, ended, ledgers, keys, ...orders }: Restored): string {
  return [
    `state file ${state}: ${ended} open tasks were ended; agents declare theirs again`,
    ...ledgers.map((ledger) => `ledger ${ledger}: for reading; \`remit serve\` starts a new ledger`),
    ...(ledgers.length === 0
      ? []
      : [`timelines include it if the configuration has \`ledger: { others: [${ledgers.join(', ')}] }\``]),
    ...keys.map((key) => `keys ${key}`),
    restoredOrdersText(orders),
  ].join('\n');
}

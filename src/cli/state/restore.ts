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
import type { KeptPlaceValues } from '../ledger/kept-places.ts';
import { operatorOf } from '../operator.ts';
import { optionsFrom } from '../options.ts';
import { isCommandRefusal, type CommandRefusal, stateOf, taskRefusal } from '../task/task-source.ts';
import { stateKeyFrom } from '../../serve/state/state-key.ts';
import type { StateSource } from './state-source.ts';

const help = `remit restore: restore a backup

usage: remit restore BACKUP [OPTION ...]
       remit restore --config FILE [--by NAME] [--json]

  BACKUP          a folder made by \`remit backup\`, or a copy of a state file alone
  --config FILE   the configuration that names the paths; default /etc/remit/remit.yaml. Without BACKUP: of an authority on a PostgreSQL that
                  its own tools have restored, or whose primary lacked commits when it was promoted
  --state FILE    the path of the state file, instead of --config; its ledger is the folder \`ledger\` beside it
  --state URL     such a PostgreSQL without its configuration, if its rows have no seals of \`authority.stateKey\`
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
interrupted: until it is complete, no authority serves from that database. The role of the authorities may run it. Receivers of signals
are told of each end. A row of a task without a seal of \`authority.stateKey\` is no authority's: it ends without a record.

  remit restore /mnt/backups/remit-2026-11-26
  remit restore --state-only --by "Ada Lovelace" /mnt/backups/remit-2026-11-26
  remit restore --config /etc/remit/remit.yaml

exit codes: 0 everything is in its place, 1 the restore failed, and changed no state file, 2 bad use`;

type RestoreIo = Pick<CommandIo, 'out' | 'err' | 'environment' | 'progress'>;

/** `remit restore`. */
export const restoreCommand: Command = { name: 'restore', help, run: restore };

/** Runs `remit restore` with the words after it. */
export async function restore(args: readonly string[], io: RestoreIo): Promise<number> {
  const restored = await putBack(args, io);
  if (isCommandRefusal(restored)) return refused(io, 'remit restore', restored);
  io.out(restored);
  return EXIT.good;
}

async function putBack(args: readonly string[], io: RestoreIo): Promise<string | CommandRefusal> {
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
  const database = await databaseOf(values, { hasBackup: backup !== undefined, io });
  if (isCommandRefusal(database)) return database;
  if (database !== null) return restoredDatabase(database, { by, isJson: values.json });
  if (backup === undefined)
    return taskRefusal(
      'the folder of the backup is required; for a PostgreSQL that its own tools have restored, --config FILE',
    );
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

type DatabaseSource = Pick<StateSource & { readonly kind: 'postgres' }, 'target' | 'stateKey' | 'receivers'>;

/**
 * The PostgreSQL to restore: that of `--state URL`, or of the configuration that is named without a backup; `null` for a state file. The default
 * configuration alone names none, so that the command without arguments ends no tasks.
 */
async function databaseOf(
  values: KeptPlaceValues & { readonly 'state-only': boolean },
  { hasBackup, io }: { readonly hasBackup: boolean; readonly io: RestoreIo },
): Promise<DatabaseSource | CommandRefusal | null> {
  const { config, ledger, state } = values;
  const isOfFiles = hasBackup || ledger !== undefined || values['state-only'];
  if (/^postgres(?:ql)?:/.test(state ?? '')) {
    if (isOfFiles || config !== undefined)
      return taskRefusal(
        'a PostgreSQL is restored with its own tools: give only its configuration or its URL here, with --by and --json',
      );
    const target = postgresTargetFrom(state ?? '');
    return isProblem(target) ? taskRefusal(`--state ${target.problem}`) : { target, stateKey: null, receivers: [] };
  }
  if (isOfFiles || config === undefined || state !== undefined) return null;
  const source = await stateOf(values, io);
  return isCommandRefusal(source) || source.kind === 'postgres' ? source : null;
}

async function restoredDatabase(
  { receivers, stateKey: keyFile, target }: DatabaseSource,
  { by, isJson }: { readonly by: string; readonly isJson: boolean },
): Promise<string | CommandRefusal> {
  const stateKey = keyFile === null ? null : stateKeyFrom(keyFile);
  if (isProblem(stateKey)) return taskRefusal(stateKey.problem);
  const { randomBytes } = systemPorts;
  const restored = await restoreDatabase(target, { clocks: systemPorts, randomBytes, by, receivers, stateKey });
  if (isStoreFailure(restored)) return taskRefusal(restored.detail, EXIT.no);
  if (isJson) return JSON.stringify(restored);
  const { ended, unsealed } = restored;
  return [
    `${ended} open tasks were ended; agents declare theirs again. Authorities start again; sidecars refuse these tasks once their leases are over`,
    ...(unsealed === 0
      ? []
      : [
          `${unsealed} rows of open tasks that no authority wrote with this \`authority.stateKey\` were ended without a record`,
        ]),
    restoredOrdersText(restored),
  ].join('\n');
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

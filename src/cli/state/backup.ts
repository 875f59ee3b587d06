/** `remit backup`: back up state file and ledgers to a new folder, while serving. */
import { resolve } from 'node:path';
import { remitVersion } from '../../core/config/version.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { makeBackup } from '../../authority/state/backup/make-backup.ts';
import type { Manifest } from '../../authority/state/backup/manifest.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { copyProgress } from './copy-progress.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { keptPlacesOf, placeOptions } from '../ledger/kept-places.ts';
import { optionsFrom } from '../options.ts';
import { isCommandRefusal, type CommandRefusal, taskRefusal } from '../task/task-source.ts';

const help = `remit backup: back up state file and ledgers to a new folder

usage: remit backup FOLDER [OPTION ...]

  --config FILE   the configuration that names state file and ledgers; default /etc/remit/remit.yaml
  --state FILE    the state file, instead of --config; its ledger is the folder \`ledger\` beside it
  --ledger DIR    with --state: the folder of its ledger
  --state-only    back up only the state file
  --with-keys     also back up keys: of the ledger, of tokens, of transaction tokens. Whoever reads that backup can sign with them
  --json          print the contents of the backup as JSON

Runs beside \`remit serve\` without blocking it: a snapshot of the state file, then of each ledger
with its policy texts. All files have mode 0600. \`backup.json\` is written last; a folder without it is not a backup.
Run it as the account that serves. To restore it: remit restore --help, deploy/guide/operate/backup.md.

  remit backup /mnt/backups/remit-$(date +%F)
  remit backup --state /var/lib/remit/state.db --state-only /mnt/backups/state

exit codes: 0 the backup is on disk, 1 the backup failed, 2 bad use`;

/** `remit backup`. */
export const backupCommand: Command = {
  name: 'backup',
  help,
  run: async (args, io) => {
    const made = await backedUp(args, io);
    if (isCommandRefusal(made)) return refused(io, 'remit backup', made);
    io.out(made);
    return EXIT.good;
  },
};

async function backedUp(args: readonly string[], io: CommandIo): Promise<string | CommandRefusal> {
  const options = optionsFrom(
    args,
    {
      ...placeOptions,
      'state-only': { type: 'boolean', default: false },
      'with-keys': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
    1,
  );
  if (typeof options === 'string') return taskRefusal(options);
  const [folder] = options.operands;
  if (folder === undefined) return taskRefusal('the folder for the backup is required');
  const { values } = options;
  if (values['state-only'] && values['with-keys'])
    return taskRefusal('--state-only backs up no keys: leave out one of --state-only and --with-keys');
  const kept = await keptPlacesOf(values, io);
  if (isCommandRefusal(kept)) return kept;
  if (values['with-keys'] && kept.keys.length === 0)
    return taskRefusal('--with-keys needs a configuration, which names the keys');
  const places = {
    state: kept.state,
    ledgers: values['state-only'] ? [] : [kept.ledger, ...kept.others],
    keys: values['with-keys'] ? kept.keys : [],
  };
  const progress = copyProgress('remit backup', io);
  const made = await makeBackup(resolve(folder), places, {
    nowMs: systemPorts.nowMs,
    version: remitVersion(),
    onProgress: progress.at,
  });
  progress.end();
  if (isProblem(made)) return taskRefusal(made.problem, EXIT.no);
  return values.json ? JSON.stringify({ folder: resolve(folder), ...made }) : backupText(resolve(folder), made);
}

function backupText(folder: string, { ledgers, keys, files }: Manifest): string {
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  return [
    `backup ${folder}: ${files.length} files of ${bytes} bytes`,
    ...ledgers.map(({ from, size }) => `ledger ${from}: ${size} records`),
    ...keys.map(({ of }) => `keys of \`${of}\`: anybody who reads this backup can sign with them`),
  ].join('\n');
}

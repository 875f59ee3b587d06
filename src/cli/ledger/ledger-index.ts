/** `remit ledger index`: make the index by which records of a ledger are found. */
import { indexLedger } from '../../core/ledger/log/indexed-ledger.ts';
import type { IndexedLedger } from '../../core/ledger/log/indexed-ledger.ts';
import { indexReceived } from '../../authority/records/received-index.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { optionsFrom } from '../options.ts';
import { isCommandRefusal, taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';
import { LEDGER_HELP, ledgerFolderOf, ledgerOptions } from './ledger-source.ts';
import { RECEIVED_HELP, receivedFolderOf, receivedOptions } from './received-source.ts';

const help = `remit ledger index: make the index by which records of a ledger are found

usage: remit ledger index [OPTION ...]

${LEDGER_HELP}
${RECEIVED_HELP}
  --json              one object: the \`ledger\`, its \`parts\`, how many were \`made\`, records \`indexed\` and \`left\`, and old files \`discarded\`;
                      \`received\` has the same of the records of sidecars, with \`packs\`

Indexes at once what is not indexed yet, old segments too, beside a running \`remit serve\`, which does it by itself (\`ledger.index\`), or of a
copy: recorded arguments, path, token, subject, purpose, intent, parts, delegate, policies, refused callers, and allowed uses without an execution. \`remit ledger query\`, \`stats\` and \`remit why\` use the
index by themselves; without it they read every record, and find the same. A part has up to 65,536 records; of the newest segment only
full parts are made, and of received records. The files are in \`index\` of the folder, about a tenth of its size. They may be deleted at any time;
\`remit ledger verify\` makes each again in memory and compares it, so that an index which hides records is found.

  remit ledger index
  remit ledger index --ledger /mnt/copy/ledger --received /mnt/copy/records

exit codes: 0 success, 2 bad use, or a ledger that cannot be read or written`;

/** `remit ledger index`. */
export const ledgerIndexCommand: Command = { name: 'ledger index', help, run: ledgerIndex };

const NAME = 'remit ledger index';

type Io = Pick<CommandIo, 'out' | 'err' | 'environment' | 'progress'>;

/** Runs `remit ledger index`; the exit code is the answer. */
export async function ledgerIndex(args: readonly string[], io: Io): Promise<number> {
  const problem = await index(args, io);
  return problem === null ? EXIT.good : refused(io, NAME, problem);
}

async function index(args: readonly string[], io: Io): Promise<CommandRefusal | null> {
  const options = optionsFrom(args, { ...ledgerOptions, ...receivedOptions, json: { type: 'boolean' } }, 0);
  if (typeof options === 'string') return taskRefusal(options);
  const { json, ...source } = options.values;
  const folder = await ledgerFolderOf(source, io);
  if (isCommandRefusal(folder)) return folder;
  const records = await receivedFolderOf(source, io);
  if (isCommandRefusal(records)) return records;
  const own = indexedAt(folder, io, (indexing) => {
    const done = indexLedger(folder, {
      ...indexing,
      onRecord: () => indexing.onRecords(1),
      nowMs: systemPorts.nowMs(),
    });
    if (done === null) return taskRefusal(`no ledger in \`${folder}\``);
    return isStoreFailure(done) ? taskRefusal(done.detail) : done;
  });
  if (isCommandRefusal(own)) return own;
  const received =
    records === undefined ? null : indexedAt(records, io, (indexing) => indexReceived(records, indexing));
  if (isCommandRefusal(received)) return received;
  const others = received === null ? {} : { received: { folder: records, ...received } };
  if (json === true) io.out(JSON.stringify({ ledger: folder, ...own, ...others }));
  else {
    io.out(textOf(folder, own));
    if (records !== undefined && received !== null) io.out(textOf(records, { ...received, parts: received.packs }));
  }
  return null;
}

const PROGRESS_EVERY = 10_000;

interface Indexing {
  readonly suffix: string;
  readonly onRecords: (count: number) => void;
}

function indexedAt<Done>(
  folder: string,
  io: Io,
  work: (indexing: Indexing) => Done | CommandRefusal,
): Done | CommandRefusal {
  let read = 0;
  const onRecords = (count: number): void => {
    const said = Math.floor(read / PROGRESS_EVERY);
    read += count;
    if (Math.floor(read / PROGRESS_EVERY) > said) io.progress?.(`${folder}: ${read} records`);
  };
  try {
    return work({ suffix: Buffer.from(systemPorts.randomBytes(4)).toString('hex'), onRecords });
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined) throw error;
    return taskRefusal(`the index of \`${folder}\` cannot be written: ${code}`);
  } finally {
    io.progress?.('');
  }
}

const textOf = (folder: string, { parts, made, indexed, left, discarded }: IndexedLedger): string =>
  `${folder}: ${indexed} records in ${parts} parts, ${made} of them made now; ${left} records are not indexed` +
  (discarded === 0 ? '' : `; ${discarded} old files deleted`);

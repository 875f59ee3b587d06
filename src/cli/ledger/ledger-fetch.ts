/** `remit ledger fetch`: copy the records of sidecars from an object store. */
import { indexReceived } from '../../authority/records/received-index.ts';
import type { ReceivedIndexing } from '../../authority/records/received-index.ts';
import { fetchRecords } from '../../authority/records/fetched-records.ts';
import type { Bucket } from '../../authority/records/record-objects.ts';
import { postgresTargetFrom } from '../../core/config/postgres-url.ts';
import type { PostgresTarget } from '../../core/config/postgres-url.ts';
import { s3PlaceFrom } from '../../core/config/s3-place.ts';
import type { S3Place } from '../../core/config/s3-place.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { systemPorts } from '../../core/runtime/ports.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { optionsFrom } from '../options.ts';
import { isCommandRefusal, taskRefusal, sourceOf } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';

const help = `remit ledger fetch: copy the records of sidecars from the store of their authorities

usage: remit ledger fetch [s3://BUCKET/PREFIX | postgres://USER@HOST/DATABASE] --out DIR

  s3://BUCKET/PREFIX  what \`records\` of the authority says; with ?endpoint=https://HOST:PORT and &region=REGION for another service
                      than AWS
  postgres://…        what \`state\` of the authority says, if \`records\` is \`postgres\`; a role that may read its tables will do
  --config FILE       without an address: the configuration of the authority that says it; default /etc/remit/remit.yaml
  --out DIR           a folder, created if missing; what is there already is not copied again

The records in the folder are indexed, as by \`remit ledger index\`: run it again before a search, and only what is new is copied and indexed.

The folder is what --received of \`remit ledger verify\`, \`query\`, \`prove\` and \`evidence\` takes. Credentials of an object store come from
the environment, as the tools of AWS find them: AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY, AWS_PROFILE, the web identity of a pod, or the
machine's own.

  remit ledger fetch s3://acme-records/remit/ --out /tmp/records

exit codes: 0 success, 1 the store refuses or does not answer, 2 bad use`;

/** `remit ledger fetch`. */
export const ledgerFetchCommand: Command = { name: 'ledger fetch', help, run: ledgerFetch };

const NAME = 'remit ledger fetch';

type Io = Pick<CommandIo, 'out' | 'err' | 'environment' | 'progress'>;

/**
 * Runs `remit ledger fetch`; the exit code is the answer.
 *
 * @param indexing how many records a pack of the index takes; default as for `remit ledger index`
 */
export async function ledgerFetch(
  args: readonly string[],
  io: Io,
  indexing: Pick<ReceivedIndexing, 'packRecords'> = {},
): Promise<number> {
  const done = await fetched(args, io, indexing);
  io.progress?.('');
  if (typeof done !== 'string') return refused(io, NAME, done);
  io.out(done);
  return EXIT.good;
}

async function fetched(
  args: readonly string[],
  io: Io,
  indexing: Pick<ReceivedIndexing, 'packRecords'>,
): Promise<string | CommandRefusal> {
  const options = optionsFrom(args, { out: { type: 'string' }, config: { type: 'string', short: 'c' } }, 1);
  if (typeof options === 'string') return taskRefusal(options);
  const [address] = options.operands;
  const { out, config } = options.values;
  if (out === undefined) return taskRefusal('--out is required');
  const store = address === undefined ? await storeIn(config, io) : await storeAt(address);
  if (isCommandRefusal(store)) return store;
  try {
    const done = await fetchRecords(store.bucket, out, systemPorts);
    if (isProblem(done)) return taskRefusal(`the records of ${store.name} cannot be read: ${done.problem}`, EXIT.no);
    let read = 0;
    const onRecords = (records: number): void => {
      read += records;
      io.progress?.(`${out}: ${read} records`);
    };
    const suffix = Buffer.from(systemPorts.randomBytes(4)).toString('hex');
    const { indexed } = indexReceived(out, { ...indexing, suffix, onRecords });
    return `${done.copied} of ${done.all} objects copied to ${out}; ${indexed} records are indexed`;
  } catch (error) {
    const code = errorCode(error) ?? String(error);
    return taskRefusal(`\`${out}\` cannot be written: ${code}`);
  } finally {
    await store.close();
  }
}

interface OpenStore {
  readonly bucket: Bucket;
  readonly name: string;
  readonly close: () => void | Promise<void>;
}

async function storeAt(address: string): Promise<OpenStore | CommandRefusal> {
  if (/^postgres(?:ql)?:/.test(address)) {
    const target = postgresTargetFrom(address);
    return isProblem(target) ? taskRefusal(`the address ${target.problem}`) : databaseAt(target);
  }
  const place = s3PlaceFrom(address);
  return isProblem(place) ? taskRefusal(`the address ${place.problem}`) : bucketAt(place);
}

/** The store that a configuration names. */
async function storeIn(
  config: string | undefined,
  { environment }: Pick<CommandIo, 'environment'>,
): Promise<OpenStore | CommandRefusal> {
  const source = await sourceOf({ config }, { environment });
  if (isCommandRefusal(source)) return source;
  const { received, state } = source;
  if (received?.kind === 's3') return bucketAt(received.place);
  if (received?.kind === 'postgres' && state.kind === 'postgres') return databaseAt(state.target);
  const where = received?.kind === 'file' ? `in the folder \`${received.folder}\`: use --received` : 'not there';
  return taskRefusal(`the records of sidecars are ${where}`);
}

async function bucketAt(place: S3Place): Promise<OpenStore> {
  const { S3Bucket } = await import('../../authority/records/s3-bucket.ts');
  const bucket = new S3Bucket(place);
  return { bucket, name: `\`${place.bucket}\``, close: () => bucket.close() };
}

async function databaseAt(target: PostgresTarget): Promise<OpenStore> {
  const { Database } = await import('../../authority/state/postgres/database.ts');
  const { receivedObjects } = await import('../../authority/state/postgres/received-objects.ts');
  const database = new Database({ target, maxConnections: 1, hasQuorum: false });
  return {
    bucket: receivedObjects(database, systemPorts.nowMs),
    name: `the database \`${target.database}\``,
    close: () => database.close(),
  };
}

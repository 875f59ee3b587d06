import { fetchRecords } from '../ledger/received/fetched-records.ts';
import { s3PlaceFrom } from '../config/s3-place.ts';
import { isProblem } from '../runtime/problem.ts';
import { systemPorts } from '../runtime/ports.ts';
import { EXIT } from './command.ts';
import type { Command, CommandIo } from './command.ts';
import { optionsFrom } from './options.ts';
import { refusal, refused } from './task-source.ts';
import type { CommandRefusal } from './task-source.ts';

const help = `remit ledger fetch: copy the records of sidecars from an object store

usage: remit ledger fetch s3://BUCKET/PREFIX --out DIR

  s3://BUCKET/PREFIX  what \`records\` of the authority says; with ?endpoint=https://HOST:PORT and &region=REGION for another service
                      than AWS
  --out DIR           a folder, made where missing; what is there already is not copied again

The folder is what --received of \`remit ledger verify\`, \`query\` and \`prove\` takes. Credentials come from the environment, as the tools of
AWS find them: AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY, AWS_PROFILE, the web identity of a pod, or the machine's own.

  remit ledger fetch s3://acme-records/remit/ --out /tmp/records

exit codes: 0 success, 1 the store refuses or does not answer, 2 bad use`;

/** `remit ledger fetch`. */
export const ledgerFetchCommand: Command = { name: 'ledger fetch', help, run: ledgerFetch };

const NAME = 'remit ledger fetch';

/** Runs `remit ledger fetch`; the exit code is the answer. */
export async function ledgerFetch(args: readonly string[], io: Pick<CommandIo, 'out' | 'err'>): Promise<number> {
  const done = await fetched(args);
  if (typeof done !== 'string') return refused(io, NAME, done);
  io.out(done);
  return EXIT.good;
}

async function fetched(args: readonly string[]): Promise<string | CommandRefusal> {
  const options = optionsFrom(args, { out: { type: 'string' } }, 1);
  if (typeof options === 'string') return refusal(options);
  const [address] = options.operands;
  const { out } = options.values;
  if (address === undefined || out === undefined) return refusal('the address of the store and --out are required');
  const place = s3PlaceFrom(address);
  if (isProblem(place)) return refusal(`the address ${place.problem}`);
  const { S3Bucket } = await import('../ledger/received/s3-bucket.ts');
  const bucket = new S3Bucket(place);
  try {
    const done = await fetchRecords(bucket, out, systemPorts);
    return isProblem(done)
      ? refusal(`the records of \`${place.bucket}\` cannot be read: ${done.problem}`, EXIT.no)
      : `${done.copied} of ${done.all} objects copied to ${out}`;
  } catch (error) {
    const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : String(error);
    return refusal(`\`${out}\` cannot be written: ${code}`);
  } finally {
    bucket.close();
  }
}

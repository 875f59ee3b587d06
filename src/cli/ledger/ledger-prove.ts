/** `remit ledger prove`: prove that one record is in the ledger. */
import { writeFile } from 'node:fs/promises';
import { PRIVATE_MODE } from '../../core/runtime/system/private-file.ts';
import type { LogReader } from '../../core/ledger/log/log-reader.ts';
import { proofOf, type ProofOf } from '../../core/ledger/log/proof-of.ts';
import { emitterHistories } from '../../authority/records/emitter-history.ts';
import { emittersIn, namingRecord, provedByKey } from '../../authority/records/named-log.ts';
import type { ReceivedLog } from '../../authority/records/received-logs.ts';
import { foundInReceived } from '../../authority/records/received-search.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { LEDGER_HELP, ledgerFolderOf, ledgerOptions, withLedger } from './ledger-source.ts';
import { optionsFrom } from '../options.ts';
import { RECEIVED_HELP, receivedOf, receivedOptions } from './received-source.ts';
import { isCommandRefusal, type CommandRefusal, taskRefusal } from '../task/task-source.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';

const help = `remit ledger prove: prove that one record is in the ledger

usage: remit ledger prove ID [--out FILE] [OPTION ...]

  ID                  the number of a record, or the decision id of a use
  --out FILE          write a new file; default standard output
${LEDGER_HELP}
${RECEIVED_HELP}

Prints a C2SP tlog-proof: the record, the hashes that lead from it to the root of the tree, and the signed checkpoint of that
root. \`remit ledger check-proof\` checks it with nothing but the verifier key of the ledger. The proof shows that one
record and no other. With --received a use that is not in the ledger is looked for in the logs of sidecars; its proof has a second one, of
the record that names the key of that log, so that the key of the ledger is enough to check both. A checkpoint covers a record at most 5 seconds after it was written.

  remit ledger prove 019ab77e-5d3c-7a41-9f60-2f0b8c1d7e55 --out use.tlog-proof

exit codes: 0 success, 1 no such record, or it cannot be proved, 2 bad use or a ledger that cannot be read`;

/** `remit ledger prove`. */
export const ledgerProveCommand: Command = { name: 'ledger prove', help, run: ledgerProve };

type Io = Pick<CommandIo, 'out' | 'err' | 'environment'>;

/** Runs `remit ledger prove`; the exit code is the answer. */
export async function ledgerProve(args: readonly string[], io: Io): Promise<number> {
  const problem = await prove(args, io);
  if (problem === null) return EXIT.good;
  return refused(io, 'remit ledger prove', problem);
}

async function prove(args: readonly string[], io: Io): Promise<CommandRefusal | null> {
  const options = optionsFrom(args, { ...ledgerOptions, ...receivedOptions, out: { type: 'string' } }, 1);
  if (typeof options === 'string') return taskRefusal(options);
  const [id] = options.operands;
  if (id === undefined) return taskRefusal('the number of a record or a decision id is required');
  const folder = await ledgerFolderOf(options.values, io);
  if (isCommandRefusal(folder)) return folder;
  const received = await receivedOf(options.values, io);
  if (isCommandRefusal(received)) return received;
  const proof = await withLedger<string>(folder, async (log) => proofIn(log, id, received));
  if (isCommandRefusal(proof)) return proof;
  const { out } = options.values;
  if (out === undefined) {
    io.out(proof.slice(0, -1));
    return null;
  }
  try {
    await writeFile(out, proof, { flag: 'wx', mode: PRIVATE_MODE });
    return null;
  } catch (error) {
    return taskRefusal(`\`${out}\` cannot be written: ${errorCode(error) ?? String(error)}`);
  }
}

function proofIn(log: LogReader, id: string, received: ReadonlyMap<string, ReceivedLog>): string | CommandRefusal {
  const seq = recordWith(log, id);
  if (seq === null) return proofInReceived(log, received, id);
  const proof = proofOf(log, seq);
  return proof.kind === 'proof' ? proof.text : taskRefusal(`record ${seq} ${whyNot[proof.kind]}`, EXIT.no);
}

/** The proof of a use in the log of a sidecar, and of the record that names the key of that log. */
function proofInReceived(
  log: LogReader,
  received: ReadonlyMap<string, ReceivedLog>,
  decisionId: string,
): string | CommandRefusal {
  const [use] = foundInReceived(received.values(), { decisionId, kind: 'use' }, { limit: 1, isNewestFirst: false });
  const home = use === undefined ? undefined : received.get(use.log);
  if (use === undefined || home === undefined) return taskRefusal('there is no record of this decision', EXIT.no);
  const what = `record ${use.seq} of \`${use.log}\``;
  if (namingRecord(log, use.log) === null)
    return taskRefusal(`${what} cannot be proved: the ledger does not name that log`, EXIT.no);
  const pruned = emitterHistories(emittersIn(log)).get(use.log)?.pruned ?? null;
  const proof = provedByKey(log, home, { seq: use.seq, pruned });
  return proof.kind === 'proof' ? proof.text : taskRefusal(`${what} ${whyNot[proof.kind]}`, EXIT.no);
}

const whyNot: Readonly<Record<Exclude<ProofOf['kind'], 'proof'>, string>> = {
  pruned: 'was pruned: the ledger begins later',
  absent: 'does not exist: the ledger ends before it',
  unsigned:
    'is not covered by a checkpoint yet: the next is due within 5 seconds while `remit serve` runs, or at its end',
  damaged: 'cannot be proved because the ledger is damaged: run `remit ledger verify`',
};

/** The record number for an id; for a decision id that of its use, else of its first record, such as an intent. */
function recordWith(log: LogReader, id: string): number | null {
  if (/^[1-9]\d{0,15}$/.test(id)) return Number(id);
  const order = { isNewestFirst: false };
  const [use] = log.found({ decisionId: id, kind: 'use' }, order);
  const [any] = use === undefined ? log.found({ decisionId: id }, order) : [use];
  return any?.seq ?? null;
}

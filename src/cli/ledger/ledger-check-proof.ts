/** `remit ledger check-proof`: check a proof without the ledger. */
import { provedChain } from '../../authority/records/received-proof.ts';
import type { ProvedChain } from '../../authority/records/received-proof.ts';
import { printable } from '../../core/ledger/timeline-text.ts';
import { printableJson } from '../../core/ledger/printable-json.ts';
import { isProblem, type Problem } from '../../core/runtime/problem.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { KEY_HELP, keysFrom, trustFileText } from './ledger-trust.ts';
import { optionsFrom } from '../options.ts';
import { isCommandRefusal, type CommandRefusal, taskRefusal } from '../task/task-source.ts';

const help = `remit ledger check-proof: check a proof without the ledger

usage: remit ledger check-proof FILE --key VKEY|@FILE [--json]

  FILE                the output of \`remit ledger prove\`, or any C2SP tlog-proof of a ledger
${KEY_HELP}
  --json              one object: origin, size, leaf

The proof of a record of a sidecar is checked with the key of the authority that received it.

For an auditor: needs neither the ledger nor a connection. Prints the record if the proof shows that it is one of the records
under the signed checkpoint in the proof. Whoever holds the key of the ledger could have signed another one: compare the
checkpoint with one you kept yourself.

  remit ledger check-proof use.tlog-proof --key @ledger.vkey

exit codes: 0 proved, 1 not proved, 2 bad use or a file that cannot be read`;

/** Largest file read; proofs are smaller. */
const MAX_BYTES = 1024 ** 2;

/** `remit ledger check-proof`. */
export const ledgerCheckProofCommand: Command = { name: 'ledger check-proof', help, run: ledgerCheckProof };

type Io = Pick<CommandIo, 'out' | 'err'>;

/** Runs `remit ledger check-proof`; the exit code is the answer. */
export async function ledgerCheckProof(args: readonly string[], io: Io): Promise<number> {
  const result = await check(args);
  if (!isCommandRefusal(result)) {
    for (const line of result) io.out(line);
    return EXIT.good;
  }
  return refused(io, 'remit ledger check-proof', result);
}

async function check(args: readonly string[]): Promise<readonly string[] | CommandRefusal> {
  const own = { key: { type: 'string', multiple: true }, json: { type: 'boolean' } } as const;
  const options = optionsFrom(args, own, 1);
  if (typeof options === 'string') return taskRefusal(options);
  const [file] = options.operands;
  if (file === undefined) return taskRefusal('the file of a proof is required');
  const keys = await keysFrom(options.values.key ?? []);
  if (isCommandRefusal(keys)) return keys;
  const text = await trustFileText(file, { what: 'proof', maxBytes: MAX_BYTES });
  if (isCommandRefusal(text)) return text;
  const tried = keys.map((key) => provedChain(text, key));
  const proved = tried.find((each): each is ProvedChain => !isProblem(each));
  if (proved === undefined) {
    const problem = tried.find((each): each is Problem => isProblem(each))?.problem ?? '';
    return taskRefusal(`NOT proved: \`${file}\` ${problem}`, EXIT.no);
  }
  return options.values.json === true ? [jsonOf(proved)] : proofLines(proved);
}

const jsonOf = ({ proved: { leaf, checkpoint } }: ProvedChain): string =>
  printableJson({ origin: checkpoint.origin, size: checkpoint.size, leaf });

const proofLines = ({ proved: { leaf, checkpoint }, named }: ProvedChain): readonly string[] =>
  [
    `proved    record ${leaf.seq} of \`${checkpoint.origin}\``,
    `under     the signed checkpoint of ${checkpoint.size} records with root ${Buffer.from(checkpoint.root).toString('base64')}`,
    ...(named === null
      ? []
      : [
          `received  by an authority, whose record ${named.leaf.seq} in \`${named.checkpoint.origin}\` names the key of that log`,
        ]),
  ]
    .map(printable)
    .concat(printableJson(leaf.record, 2).split('\n'));

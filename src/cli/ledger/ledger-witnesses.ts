/** The witnesses that a verification of a ledger asks for, and the checkpoints that they have cosigned. */
import type { NamedAnchor } from '../../core/ledger/proof/anchor-file.ts';
import type { WitnessKey } from '../../core/ledger/proof/note-key.ts';
import { witnessedFrom, type Witnessed } from '../../core/ledger/proof/witnessed.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { isCommandRefusal, type CommandRefusal, taskRefusal } from '../task/task-source.ts';
import { anchorsFrom, witnessesFrom } from './ledger-trust.ts';

/** The options about witnesses. */
export const witnessOptions = {
  witness: { type: 'string', multiple: true },
  witnessed: { type: 'string', multiple: true },
  quorum: { type: 'string' },
} as const;

/** The help for `witnessOptions`. */
export const WITNESS_HELP = `  --witness VKEY|@FILE
                      the key of a witness, \`name+id+base64\`, or a file with a key on each line. Repeatable
  --witnessed FILE    checkpoints with cosignatures, such as the file of \`ledger.witnessed\`. It may come from where the ledger comes
                      from: only cosignatures by these keys count. Repeatable
  --quorum N          how many of the witnesses must have cosigned a record; default all of them`;

/** The witnesses that a verification trusts, and what they have cosigned. */
export interface WitnessTrust {
  readonly witnesses: readonly WitnessKey[];
  readonly quorum: number;
  /** By the origin of the log. */
  readonly notes: ReadonlyMap<string, readonly NamedAnchor[]>;
  readonly notices: readonly string[];
}

/** What witnesses say of the log of an origin; `null` if no witness was named. */
export const witnessedOf = (trust: WitnessTrust, origin: string): Witnessed | Problem | null =>
  trust.witnesses.length === 0 ? null : witnessedFrom(trust.notes.get(origin) ?? [], trust);

/** Reads the options, with their files; a refusal if a key, a file or the quorum is invalid. */
export async function witnessTrustFrom(values: {
  readonly witness?: readonly string[] | undefined;
  readonly witnessed?: readonly string[] | undefined;
  readonly quorum?: string | undefined;
}): Promise<WitnessTrust | CommandRefusal> {
  const witnesses = await witnessesFrom(values.witness ?? []);
  if (isCommandRefusal(witnesses)) return witnesses;
  const files = values.witnessed ?? [];
  if (witnesses.length === 0) {
    return files.length === 0 && values.quorum === undefined
      ? { witnesses, quorum: 0, notes: new Map(), notices: [] }
      : taskRefusal('--witnessed and --quorum go with --witness: the keys of the witnesses that you trust');
  }
  if (files.length === 0)
    return taskRefusal('--witness needs --witnessed: a file of checkpoints that they have cosigned');
  const { quorum = String(witnesses.length) } = values;
  if (!/^[1-9][0-9]?$/.test(quorum) || Number(quorum) > witnesses.length)
    return taskRefusal(`--quorum must be 1 to ${witnesses.length}, the number of witnesses, got \`${quorum}\``);
  const read = await anchorsFrom(files);
  if (isCommandRefusal(read)) return read;
  const notes = Map.groupBy(read.anchors, ({ origin }) => origin);
  return { witnesses, quorum: Number(quorum), notes, notices: read.notices };
}

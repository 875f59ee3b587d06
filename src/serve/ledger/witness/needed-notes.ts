/** Which of the checkpoints that witnesses have cosigned a verification needs. */
import { anchorsIn } from '../../../core/ledger/proof/anchor-file.ts';
import { checkpointFrom } from '../../../core/ledger/proof/checkpoint.ts';
import { notePartsOf } from '../../../core/ledger/proof/signed-note.ts';
import { isProblem } from '../../../core/runtime/problem.ts';

/** What is kept of the notes. */
export interface NoteNeeds {
  /** Of the log. Notes of other logs are kept. */
  readonly origin: string;
  /** Number of pruned records of the log: a checkpoint of fewer can be compared with nothing. */
  readonly pruned: number;
  /**
   * Above this many bytes of notes of this log, every second note of each witness is dropped, except its last, until they fit: a
   * note covers what the notes before it cover.
   */
  readonly maxBytes: number;
}

/**
 * The notes that are needed, in their order: those about records that are not pruned, and the last of each witness, which says
 * how far it is. The remains of an interrupted write, alone or at the beginning of a note, are dropped: the cosignature would be
 * wrong.
 */
export function neededNotes(notes: readonly string[], { origin, pruned, maxBytes }: NoteNeeds): readonly string[] {
  const last = new Map<string, string>();
  const found = notes.flatMap((note): readonly Found[] => {
    const read = readNote(note, origin);
    if (read === null) return [];
    if (read.by !== null) last.set(read.by, note);
    return [{ note, ...read }];
  });
  const isLast = ({ by, note }: Found): boolean => by === null || last.get(by) === note;
  let needed: readonly Found[] = found.filter((each) => each.size >= pruned || isLast(each));
  while (ownBytes(needed) > maxBytes) {
    const fewer = thinned(needed);
    // The last of each witness.
    if (fewer.length === needed.length) break;
    needed = fewer;
  }
  return needed.map(({ note }) => note);
}

const ownBytes = (notes: readonly Found[]): number =>
  notes.reduce((sum, { by, note }) => (by === null ? sum : sum + Buffer.byteLength(note) + 1), 0);

interface Found {
  readonly note: string;
  /** Number of records. */
  readonly size: number;
  /** The witness, by its name and the id of its key; `null` for a note of another log. */
  readonly by: string | null;
}

/** Every second note of each witness, counted from its last. */
function thinned(notes: readonly Found[]): readonly Found[] {
  const after = new Map<string, number>();
  const isKept = ({ by }: Found): boolean => {
    if (by === null) return true;
    const count = after.get(by) ?? 0;
    after.set(by, count + 1);
    return count % 2 === 0;
  };
  return notes.toReversed().filter(isKept).toReversed();
}

/** Who signed a note, and the size of its tree. `null` if the text is not a note, or is a note of this log without a checkpoint. */
function readNote(text: string, own: string): Omit<Found, 'note'> | null {
  const [anchor] = anchorsIn(text).anchors;
  if (anchor === undefined) return null;
  if (anchor.origin !== own) return { by: null, size: Infinity };
  const parts = notePartsOf(anchor.note);
  const head = isProblem(parts) ? parts : checkpointFrom(parts.text);
  if (isProblem(parts) || isProblem(head)) return null;
  // The signature of the log comes first.
  const { name = '', id = '' } = parts.signatures.at(-1) ?? {};
  return { by: `${name}+${id}`, size: head.size };
}

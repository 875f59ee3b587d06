import { isProblem } from '../../runtime/problem.ts';
import { openedCheckpoint, type Checkpoint } from './checkpoint.ts';
import type { CompactRange } from './compact-range.ts';
import { isSameHash, rootOf } from './merkle.ts';
import type { NoteKey } from './note-key.ts';
import { broken, type Broken } from './verdict.ts';

/** A checkpoint kept outside of the log. */
export interface Anchor {
  readonly note: string;
  /** When it was received there, in milliseconds since the Unix epoch; `null` if not known. */
  readonly atMs: number | null;
  /** Whether it is compared with the log and covers nothing: too few witnesses have cosigned it. Default no. */
  readonly isAlone?: boolean;
}

/** An anchor whose signature was verified. */
export interface OpenedAnchor extends Checkpoint {
  readonly atMs: number | null;
  readonly isAlone?: boolean;
}

/** Checks a log against its heads (checkpoints and anchors) while it is read. */
export interface HeadCheck {
  /** What is wrong with the heads of this size. Called for the carried size, then for each size after it. */
  readonly at: (range: CompactRange) => Broken | null;
  /** What is wrong with the remaining heads, once the log has ended. */
  readonly end: (size: number) => Broken | null;
  /** The largest valid size of either kind; 0 for none. */
  readonly covered: () => number;
  /** The largest valid sizes, and the number of heads in the pruned part. */
  readonly found: () => { readonly anchored: number; readonly signed: number; readonly unchecked: number };
}

/** Verifies anchors and sorts them by size; broken if an anchor does not belong to this log. */
export function openedAnchors(anchors: Iterable<Anchor>, key: NoteKey): readonly OpenedAnchor[] | Broken {
  const opened: OpenedAnchor[] = [];
  for (const { note, atMs, isAlone = false } of anchors) {
    const checkpoint = openedCheckpoint(note, key);
    if (isProblem(checkpoint)) return broken('anchor', null, `anchor ${opened.length + 1} ${checkpoint.problem}`);
    opened.push({ ...checkpoint, atMs, isAlone });
  }
  return opened.toSorted((a, b) => a.size - b.size);
}

/**
 * The check of one log's heads.
 *
 * @param heads checkpoints in order of size, read one ahead; anchors as `openedAnchors` returns them
 */
export function headCheck(
  key: NoteKey,
  heads: { readonly checkpoints: Iterable<{ readonly note: string }>; readonly anchors: readonly OpenedAnchor[] },
): HeadCheck {
  const rest = headsInOrder(key, heads);
  const found = { anchored: 0, signed: 0, unchecked: 0 };
  let next = rest.next();
  /** Size of the last valid head: a wrong root concerns the records after it. */
  let right = 0;

  return {
    at: (range) => {
      // INVARIANT: a broken head stays next until the end, so that a bad record after it is still found and reported.
      for (; next.done !== true && next.value.kind !== 'broken'; next = rest.next()) {
        const { kind, size, root, isAlone = false } = next.value;
        if (size > range.size) return null;
        if (size < range.size) {
          found.unchecked++;
          continue;
        }
        if (!isSameHash(rootOf(range.nodes), root)) {
          const records = right === size ? `the first ${size} records` : `records ${right + 1} to ${size}`;
          return broken(kind, size, `${records} are not those of this ${kind}`);
        }
        right = size;
        if (!isAlone) found[kind === 'anchor' ? 'anchored' : 'signed'] = size;
      }
      return null;
    },
    end: (size) => {
      if (next.done === true) return null;
      if (next.value.kind === 'broken') return next.value;
      let { kind, size: said } = next.value;
      // The largest head tells how many records are missing.
      for (const head of rest) if (head.kind !== 'broken' && head.size > said) ({ kind, size: said } = head);
      const problem = `the log ends at ${size}, ${kind === 'anchor' ? 'an anchor' : 'a checkpoint'} says ${said}`;
      return broken(kind, said, problem, { lost: { from: size + 1, to: said } });
    },
    covered: () => right,
    found: () => ({ ...found }),
  };
}

type Head = { readonly kind: 'checkpoint' | 'anchor'; readonly isAlone?: boolean } & Checkpoint;

/** Both kinds in order of size, up to the first invalid head. */
function* headsInOrder(
  key: NoteKey,
  { checkpoints, anchors }: Parameters<typeof headCheck>[1],
): Generator<Head | Broken, void> {
  let index = 0;
  let last = 0;
  for (const { note } of checkpoints) {
    const checkpoint = openedCheckpoint(note, key);
    if (isProblem(checkpoint)) {
      yield broken('checkpoint', null, `a checkpoint after that of size ${last} ${checkpoint.problem}`);
      return;
    }
    if (checkpoint.size < last) {
      yield broken(
        'checkpoint',
        checkpoint.size,
        `the checkpoint is smaller than the checkpoint before it, of size ${last}`,
      );
      return;
    }
    last = checkpoint.size;
    for (let anchor = anchors[index]; anchor !== undefined && anchor.size <= last; anchor = anchors[++index]) {
      yield { kind: 'anchor', ...anchor };
    }
    yield { kind: 'checkpoint', ...checkpoint };
  }
  for (const anchor of anchors.slice(index)) yield { kind: 'anchor', ...anchor };
}

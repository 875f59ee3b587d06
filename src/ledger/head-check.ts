import { isProblem } from '../token/members.ts';
import { openedCheckpoint, type Checkpoint } from './checkpoint.ts';
import type { CompactRange } from './compact-range.ts';
import { isSameHash, rootOf } from './merkle.ts';
import type { NoteKey } from './note-key.ts';
import { broken, type Broken } from './verdict.ts';

/** A checkpoint that someone outside kept. */
export interface Anchor {
  readonly note: string;
  /** When it was received there, in milliseconds since the Unix epoch; `null` where that is not known. */
  readonly atMs: number | null;
}

/** An anchor whose signature was verified. */
export interface OpenedAnchor extends Checkpoint {
  readonly atMs: number | null;
}

/** Holds checkpoints and anchors against a log while it is read: its heads. */
export interface HeadCheck {
  /** What is wrong with the heads of this size. Called for the carried size, then for each size after it. */
  readonly at: (range: CompactRange) => Broken | null;
  /** What is wrong with a head at all, once the log has ended. */
  readonly end: (size: number) => Broken | null;
  /** The largest size that was found right, of either kind; 0 for none. */
  readonly covered: () => number;
  /** The largest sizes that were found right, and the heads of sizes before the carried one. */
  readonly found: () => { readonly anchored: number; readonly signed: number; readonly unchecked: number };
}

/** The anchors that `key` signed, by size; broken where one is not of this log. */
export function openedAnchors(anchors: Iterable<Anchor>, key: NoteKey): readonly OpenedAnchor[] | Broken {
  const opened: OpenedAnchor[] = [];
  for (const { note, atMs } of anchors) {
    const checkpoint = openedCheckpoint(note, key);
    if (isProblem(checkpoint)) return broken('anchor', null, `anchor ${opened.length + 1} ${checkpoint.problem}`);
    opened.push({ ...checkpoint, atMs });
  }
  return opened.toSorted((a, b) => a.size - b.size);
}

/**
 * The check of one log's heads.
 *
 * @param heads checkpoints in the order of their sizes, of which one is read ahead; anchors as `openedAnchors` gives them
 */
export function headCheck(
  key: NoteKey,
  heads: { readonly checkpoints: Iterable<{ readonly note: string }>; readonly anchors: readonly OpenedAnchor[] },
): HeadCheck {
  const rest = headsInOrder(key, heads);
  const found = { anchored: 0, signed: 0, unchecked: 0 };
  let next = rest.next();
  /** What was right last: a wrong root is about the records after it. */
  let right = 0;

  return {
    at: (range) => {
      // INVARIANT: a broken head stays the next one until the end, so that a bad record after it is still found and named.
      for (; next.done !== true && next.value.kind !== 'broken'; next = rest.next()) {
        const { kind, size, root } = next.value;
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
        found[kind === 'anchor' ? 'anchored' : 'signed'] = size;
      }
      return null;
    },
    end: (size) => {
      if (next.done === true) return null;
      if (next.value.kind === 'broken') return next.value;
      let { kind, size: said } = next.value;
      // The largest one says how much is gone.
      for (const head of rest) if (head.kind !== 'broken' && head.size > said) ({ kind, size: said } = head);
      const problem = `the log ends at ${size}, ${kind === 'anchor' ? 'an anchor' : 'a checkpoint'} says ${said}`;
      return broken(kind, said, problem, { lost: { from: size + 1, to: said } });
    },
    covered: () => right,
    found: () => ({ ...found }),
  };
}

type Head = { readonly kind: 'checkpoint' | 'anchor' } & Checkpoint;

/** Both kinds by size, up to the first that is not what it must be. */
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
      yield broken('checkpoint', checkpoint.size, `the checkpoint is smaller than the one before it, of size ${last}`);
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

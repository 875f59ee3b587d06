import { leafHash } from './merkle.ts';

/** Where a log stands: the hash of its last record, empty before the first. */
export type Head = Uint8Array;

/** What a leaf says of where and when its record was taken into the log. */
export interface LeafFrame {
  /** Place in the log, from 1. */
  readonly seq: number;
  /** Leaf hash of the record before; empty for the first. */
  readonly prev: Head;
  /** Names the run of the process, 32 hex digits: `mono` counts from its start. */
  readonly boot: string;
  /** Whole milliseconds on the monotonic clock. */
  readonly mono: number;
}

/** A leaf with its hash. */
export interface Leaf {
  readonly bytes: Uint8Array;
  readonly hash: Uint8Array;
}

/**
 * The leaf of a record: canonical JSON of the frame with the record in it, whose bytes are taken as they are. INVARIANT: the
 * names stand in the order of RFC 8785, and the record is canonical JSON already.
 */
export function leafOf({ seq, prev, boot, mono }: LeafFrame, record: Uint8Array): Leaf {
  const before = `{"boot":"${boot}","mono":${mono},"prev":"${Buffer.from(prev).toString('base64')}","record":`;
  const bytes = Buffer.concat([Buffer.from(before), record, Buffer.from(`,"seq":${seq}}`)]);
  return { bytes, hash: leafHash(bytes) };
}

/** The bytes of the record in a leaf that `leafOf` made. */
export function recordIn(leaf: Uint8Array): Uint8Array {
  const text = Buffer.from(leaf);
  const start = text.indexOf(RECORD) + RECORD.length;
  return text.subarray(start, text.lastIndexOf(SEQ));
}

/** The first of these is the frame's own: what stands before it holds no quote of its choosing. */
const RECORD = ',"record":';
/** The last of these is the frame's own: after it comes a number alone. */
const SEQ = ',"seq":';

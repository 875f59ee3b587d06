import { closeSync, openSync, readSync } from 'node:fs';
import { emptyRange } from '../proof/compact-range.ts';
import { MAX_LEAF_BYTES } from '../proof/leaf.ts';
import type { Verdict } from '../proof/verdict.ts';
import { verdictOn, type StoredEntry, type Trust } from '../proof/verification.ts';
import type { Problem } from '../../runtime/problem.ts';
import { errorCode } from '../../runtime/system/error-code.ts';

const CHUNK_BYTES = 1024 ** 2;
const NEWLINE = 0x0a;

/** Verifies an export in JSON Lines, one leaf per line as stored: a whole log from record 1. Its heads are the anchors. */
export function storedExport(path: string, trust: Trust): Verdict | Problem {
  try {
    return verdictOn(
      {
        origin: trust.key.name,
        carried: { ...emptyRange, prev: null },
        entries: () => entriesOf(path),
        checkpoints: () => [],
      },
      trust,
    );
  } catch (error) {
    const code = errorCode(error) ?? null;
    if (code === null) throw error;
    return { problem: `the export \`${path}\` cannot be read: ${code}` };
  }
}

/**
 * The lines of a file, numbered as records. Stops once a line without an end is longer than a leaf can be: what was read of it is
 * the last record, which the verifier refuses.
 */
function* entriesOf(path: string): Generator<StoredEntry> {
  const file = openSync(path, 'r');
  try {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    let rest = Buffer.alloc(0);
    let seq = 0;
    for (;;) {
      const length = readSync(file, chunk);
      if (length === 0) break;
      let text = Buffer.concat([rest, chunk.subarray(0, length)]);
      for (let end = text.indexOf(NEWLINE); end !== -1; end = text.indexOf(NEWLINE)) {
        yield { seq: ++seq, bytes: text.subarray(0, end) };
        text = text.subarray(end + 1);
      }
      rest = text;
      if (rest.length > MAX_LEAF_BYTES) break;
    }
    if (rest.length > 0) yield { seq: seq + 1, bytes: rest };
  } finally {
    closeSync(file);
  }
}

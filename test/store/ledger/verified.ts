import { existsSync } from 'node:fs';
import { noteKeyFrom } from '../../../src/ledger/note-key.ts';
import type { Verdict } from '../../../src/ledger/verdict.ts';
import { verdictOn } from '../../../src/ledger/verification.ts';
import { notesIn } from '../../../src/store/ledger/checkpoint-file.ts';
import { readLog } from '../../../src/store/ledger/log-reader.ts';
import { isStoreFailure } from '../../../src/store/store-failure.ts';
import { isProblem } from '../../../src/token/members.ts';

/** What the log of a folder is worth, by the pinned key and what was handed outside. */
export function verdictIn(
  ledger: string,
  { key, anchors }: { readonly key: string; readonly anchors: string },
): Verdict {
  const pinned = noteKeyFrom(key);
  if (isProblem(pinned)) throw new Error(pinned.problem);
  const outside = existsSync(anchors) ? notesIn(anchors).map((note) => ({ note, atMs: null })) : [];
  const verdict = readLog(ledger, (log) => {
    const { range, head } = log.carried;
    return verdictOn(
      {
        origin: log.origin,
        carried: { ...range, prev: range.size === 0 ? null : head },
        entries: () => log.leaves(),
        checkpoints: () => log.checkpoints(),
      },
      { key: pinned, anchors: outside },
    );
  });
  if (verdict === null || isStoreFailure(verdict)) throw new Error(verdict?.detail ?? 'there is no log');
  return verdict;
}

import { existsSync, readFileSync } from 'node:fs';
import { noteKeyFrom } from '../../../../src/core/ledger/proof/note-key.ts';
import type { Verdict } from '../../../../src/core/ledger/proof/verdict.ts';
import { folderVerdict } from '../../../../src/core/ledger/log/folder-verdict.ts';
import { isProblem } from '../../../../src/core/runtime/problem.ts';
import { mustFind } from '../../../builders/must.ts';

/** The signed notes of a file of checkpoints. */
export const notesIn = (path: string): readonly string[] =>
  readFileSync(path, 'utf8')
    .split(/(?<=\n— [^\n]*\n)\n/u)
    .filter((note) => note !== '');

/** The verdict on the log and the files of a folder, by the pinned key and the published checkpoints. */
export function verdictIn(
  ledger: string,
  { key, anchors }: { readonly key: string; readonly anchors: string },
): Verdict {
  const pinned = noteKeyFrom(key);
  if (isProblem(pinned)) throw new Error(pinned.problem);
  const outside = existsSync(anchors) ? notesIn(anchors).map((note) => ({ note, atMs: null })) : [];
  const found = mustFind(
    folderVerdict(
      ledger,
      () => ({ key: pinned, anchors: outside }),
      () => undefined,
    ),
  );
  return found.verdict;
}

import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { PRIVATE_MODE } from '../private-file.ts';

/** Appends a signed note and an empty line, on disk when this returns. Throws the system's error. */
export function appendNote(path: string, note: string): void {
  const file = openSync(path, 'a', PRIVATE_MODE);
  try {
    writeSync(file, `${note}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/**
 * The notes of a file that `appendNote` wrote, in their order. What an interrupted write left at the end comes last and is no
 * good note. Throws the system's error.
 */
export const notesIn = (path: string): readonly string[] =>
  // A signed note has one empty line of its own, after its body; its last line is a signature.
  readFileSync(path, 'utf8')
    .split(/(?<=\n— [^\n]*\n)\n/u)
    .filter((note) => note !== '');

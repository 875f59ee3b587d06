import { closeSync, fsyncSync, fstatSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { PRIVATE_MODE } from '../../runtime/private-file.ts';

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
export const notesIn = (path: string): readonly string[] => notesOf(readFileSync(path, 'utf8'));

/** Bytes of a file of notes that are read for its last ones: some 3,000 of them. */
const TAIL_BYTES = 1024 ** 2;

/**
 * The last notes of such a file, in their order, however long it has grown; the first may be the rest of one. Throws the
 * system's error.
 */
export function lastNotesIn(path: string): readonly string[] {
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    const tail = Buffer.alloc(Math.min(size, TAIL_BYTES));
    const length = readSync(file, tail, 0, tail.length, size - tail.length);
    return notesOf(tail.toString('utf8', 0, length));
  } finally {
    closeSync(file);
  }
}

/** A signed note has one empty line of its own, after its body; its last line is a signature. */
const notesOf = (text: string): readonly string[] => text.split(/(?<=\n— [^\n]*\n)\n/u).filter((note) => note !== '');

import { closeSync, fsyncSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { PRIVATE_MODE } from '../../runtime/system/private-file.ts';

/** Appends a signed note and an empty line, synced before it returns. Throws the system's error. */
export function appendNote(path: string, note: string): void {
  const file = openSync(path, 'a', PRIVATE_MODE);
  try {
    const bytes = Buffer.from(`${note}\n`);
    // A disk that is nearly full takes a part, and refuses the rest.
    for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Bytes read from the end of a file for its last notes, if nothing else is asked for: about 3,000 notes. */
const TAIL_BYTES = 1024 ** 2;

/**
 * The last notes of a file written by `appendNote`, in order, however large it is; the first may be incomplete. The rest of an interrupted
 * write comes last and is not a valid note. Throws the system's error.
 *
 * @param maxBytes how much is read from its end
 */
export function lastNotesIn(path: string, maxBytes: number = TAIL_BYTES): readonly string[] {
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    const tail = Buffer.alloc(Math.min(size, maxBytes));
    const length = readSync(file, tail, 0, tail.length, size - tail.length);
    return notesOf(tail.toString('utf8', 0, length));
  } finally {
    closeSync(file);
  }
}

/** A note contains one empty line, after its body; its last line is a signature. */
// oxlint-disable-next-line remit/linear-expression -- the end of our own file, at most some notes
const notesOf = (text: string): readonly string[] => text.split(/(?<=\n— [^\n]*\n)\n/u).filter((note) => note !== '');

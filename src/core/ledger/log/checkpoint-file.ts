import { closeSync, fsyncSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { PRIVATE_MODE } from '../../runtime/system/private-file.ts';
import { synced } from '../../runtime/system/synced.ts';

/**
 * Appends a signed note and an empty line, synced before it returns. Drops what an interrupted write has left at the end: a note
 * after it would be read as one with it, and both lost. Throws the system's error.
 */
export function appendNote(path: string, note: string): void {
  const file = openSync(path, 'a+', PRIVATE_MODE);
  try {
    const bytes = Buffer.from(`${endedWell(file, note)}${note}\n`);
    // A disk that is nearly full takes a part, and refuses the rest.
    for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
    fsyncSync(file);
    const { size } = fstatSync(file);
    if (size === bytes.length) synced(dirname(path));
  } finally {
    closeSync(file);
  }
}

/** Longest note that is looked for at the end of a file, in bytes. */
const MAX_NOTE_BYTES = 131_072;

/** Drops an incomplete note at the end of a file, and returns what must separate the next note from what remains. */
function endedWell(file: number, note: string): string {
  const stats = fstatSync(file);
  if (!stats.isFile() || stats.size === 0) return '';
  const { size } = stats;
  const tail = Buffer.alloc(Math.min(size, MAX_NOTE_BYTES));
  const end = tail.subarray(0, readSync(file, tail, 0, tail.length, size - tail.length));
  const whole = wholeEnd(end);
  const rest = end.subarray(whole);
  if (rest.equals(EMPTY_LINE)) return '';
  if (rest.length === 0) return '\n';
  // A file without any note may be another file, named by mistake, unless its first line is that of the note.
  if (whole === 0 && (size > end.length || !note.startsWith(firstLine(rest)))) return '\n\n';
  try {
    ftruncateSync(file, size - rest.length);
  } catch {
    // The file can only be appended to.
    return '\n\n';
  }
  return whole === 0 ? '' : '\n';
}

const EMPTY_LINE = Buffer.from('\n');
const SIGNATURE = Buffer.from('\n— ');
const LINE_FEED = 0x0a;

/** Where the last whole note ends: with a signature, after which comes an empty line or nothing. 0 if there is none. */
function wholeEnd(bytes: Buffer): number {
  for (let at = bytes.lastIndexOf(SIGNATURE); at !== -1; at = at === 0 ? -1 : bytes.lastIndexOf(SIGNATURE, at - 1)) {
    const end = bytes.indexOf('\n', at + 1) + 1;
    if (end > 0 && (end === bytes.length || bytes[end] === LINE_FEED)) return end;
  }
  return 0;
}

const firstLine = (bytes: Buffer): string => bytes.toString('utf8').split('\n', 1).join('');

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

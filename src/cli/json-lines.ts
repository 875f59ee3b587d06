import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';

/** Longest line accepted. */
export const MAX_LINE_CHARACTERS = 64 * 1024 * 1024;

/** A non-empty line of a file. */
export interface FileLine {
  /** 1-based. */
  readonly number: number;
  readonly text: string;
}

/**
 * The lines of a file, read on demand; gzip is detected by its first bytes.
 *
 * @throws the system's error if it cannot be read, zlib's error for damaged gzip, a TypeError for invalid UTF-8, a RangeError for
 * a line of more than 64 Mi characters
 */
export async function* jsonLines(file: string): AsyncGenerator<FileLine> {
  // Pieces of the last line so far. INVARIANT: a piece is searched once, so that a long line costs linear time.
  let pieces: string[] = [];
  let length = 0;
  let number = 0;
  for await (const text of textOf(file)) {
    const [end = '', ...lines] = text.split('\n');
    pieces.push(end);
    length += end.length;
    for (const next of lines) {
      number += 1;
      const line = pieces.join('');
      if (line.trim() !== '') yield { number, text: line };
      pieces = [next];
      ({ length } = next);
    }
    if (length > MAX_LINE_CHARACTERS) throw new RangeError(`line ${number + 1} is too long`);
  }
  const rest = pieces.join('');
  if (rest.trim() !== '') yield { number: number + 1, text: rest };
}

async function* textOf(file: string): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  for await (const bytes of plainBytesOf(file)) yield decoder.decode(bytes, { stream: true });
  yield decoder.decode();
}

const GZIP = [0x1f, 0x8b];

/** The file is read once: a pipe, such as `/dev/stdin`, gives its bytes only once. */
async function* plainBytesOf(file: string): AsyncGenerator<Uint8Array> {
  const chunks = createReadStream(file)[Symbol.asyncIterator]() as AsyncIterableIterator<Buffer>;
  let start = Buffer.alloc(0);
  while (start.length < GZIP.length) {
    const next = await chunks.next();
    if (next.done === true) break;
    start = Buffer.concat([start, next.value]);
  }
  const bytes = startedWith(start, chunks);
  if (!GZIP.every((byte, index) => start[index] === byte)) {
    yield* bytes;
    return;
  }
  const plain = createGunzip();
  const source = Readable.from(bytes, { objectMode: false }).on('error', (error) => plain.destroy(error));
  yield* source.pipe(plain) as AsyncIterable<Uint8Array>;
}

async function* startedWith(start: Uint8Array, rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield start;
  yield* rest;
}

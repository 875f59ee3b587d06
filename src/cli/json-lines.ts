import { createReadStream } from 'node:fs';
import { PassThrough } from 'node:stream';
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
  let rest = '';
  let number = 0;
  for await (const text of textOf(file)) {
    const lines = `${rest}${text}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      number += 1;
      if (line.trim() !== '') yield { number, text: line };
    }
    if (rest.length > MAX_LINE_CHARACTERS) throw new RangeError(`line ${number + 1} is too long`);
  }
  if (rest.trim() !== '') yield { number: number + 1, text: rest };
}

async function* textOf(file: string): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  for await (const bytes of plainBytesOf(file)) yield decoder.decode(bytes, { stream: true });
  yield decoder.decode();
}

const GZIP = [0x1f, 0x8b];

async function* plainBytesOf(file: string): AsyncGenerator<Uint8Array> {
  const isGzip = await startsWith(file, GZIP);
  const stream = createReadStream(file);
  const plain = isGzip ? createGunzip() : new PassThrough();
  stream.on('error', (error) => plain.destroy(error));
  yield* stream.pipe(plain) as AsyncIterable<Uint8Array>;
}

async function startsWith(file: string, prefix: readonly number[]): Promise<boolean> {
  for await (const bytes of createReadStream(file, { end: prefix.length - 1 }) as AsyncIterable<Uint8Array>) {
    return bytes.length === prefix.length && prefix.every((byte, index) => bytes[index] === byte);
  }
  return false;
}

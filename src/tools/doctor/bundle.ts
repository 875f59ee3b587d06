import { gzipSync } from 'node:zlib';
import type { BundlePart } from './facts.ts';

const BLOCK = 512;
const FOLDER = 'remit-doctor';

/**
 * The bytes of a `.tar.gz` (ustar) of these files, in the folder `remit-doctor`. A name that is not plain gets its index as a
 * prefix, and `_` for its other characters, so that unpacking stays in that folder.
 *
 * @param seconds time of the files, in seconds since the Unix epoch
 */
export function bundleOf(parts: readonly BundlePart[], seconds: number): Buffer {
  const blocks = parts.flatMap(({ name, text }, index) => {
    const body = Buffer.from(text);
    const padding = Buffer.alloc((BLOCK - (body.length % BLOCK)) % BLOCK);
    return [headerOf(`${FOLDER}/${plainName(name, index)}`, body.length, seconds), body, padding];
  });
  return gzipSync(Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]));
}

const plainName = (name: string, index: number): string =>
  /^(?!\.)[a-z0-9_.-]{1,80}$/.test(name) ? name : `${index}_${name.replaceAll(/[^a-z0-9_-]/gi, '_').slice(-60)}.txt`;

/** @see POSIX.1-2017 pax, ustar Interchange Format */
function headerOf(name: string, size: number, seconds: number): Buffer {
  const header = Buffer.alloc(BLOCK);
  const octal = (value: number, at: number, length: number): void =>
    void header.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, 'ascii');
  header.write(name, 0, 100, 'ascii');
  octal(0o600, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(seconds, 136, 12);
  header.fill(' ', 148, 156);
  header.write('0', 156, 'ascii');
  header.write('ustar\x0000', 257, 'ascii');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'ascii');
  return header;
}

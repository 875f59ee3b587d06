import { readFileSync } from 'node:fs';
import type { Problem } from '../../core/runtime/problem.ts';
import { errorCode } from '../../core/runtime/system/error-code.ts';

/** Fewest and most bytes of the key. */
const [MIN_BYTES, MAX_BYTES] = [32, 4_096];

/** Reads the key that authenticates the rows of a database (`authority.stateKey`), 32 to 4,096 bytes. No problem contains it. */
export function stateKeyFrom(path: string): Uint8Array | Problem {
  try {
    const key = readFileSync(path);
    return key.length >= MIN_BYTES && key.length <= MAX_BYTES
      ? key
      : {
          problem: `\`authority.stateKey\`: \`${path}\` has ${key.length} bytes: ${MIN_BYTES} to ${MAX_BYTES} random ones are required`,
        };
  } catch (error) {
    return { problem: `\`authority.stateKey\`: \`${path}\` cannot be read: ${errorCode(error) ?? 'unknown error'}` };
  }
}

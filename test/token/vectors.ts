import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe } from '@jest/globals';

/** Where the test vectors of other projects lie, beside this project; they are no part of it. */
const folder = resolve(import.meta.dirname, '../../../shared/vectors');

/**
 * `describe` for tests that need one folder of vectors: without it they are skipped, under a name that says what is
 * missing.
 */
export const describeWithVectors = (name: string, needed: string, tests: () => void): void => {
  if (existsSync(join(folder, needed))) describe(name, tests);
  else describe.skip(`${name} (skipped: no test vectors at ${join('../shared/vectors', needed)})`, tests);
};

/** The bytes of one vector file; empty where the vectors are not there, since skipped tests are still collected. */
export const vectorBytes = (path: string): Buffer =>
  existsSync(join(folder, path)) ? readFileSync(join(folder, path)) : Buffer.from('{"testGroups":[]}');

/** Names of the files of one folder of vectors, sorted. */
export const vectorFiles = (path: string): readonly string[] =>
  existsSync(join(folder, path)) ? readdirSync(join(folder, path)).sort() : ['none'];

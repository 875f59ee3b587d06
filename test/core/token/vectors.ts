import { readdirSync, readFileSync } from 'node:fs';
import { describeWith, sharedData } from '../../parts.ts';

const part = (path: string) => sharedData(`vectors/${path}`);

/** `describe` for tests that need a folder of third-party test vectors. */
export const describeWithVectors = (name: string, needed: string, tests: () => void): void =>
  describeWith(part(needed), name, tests);

/** The content of a vector file. */
export const vectorBytes = (path: string): Buffer => readFileSync(part(path).found ?? path);

/** Names of the files in a folder of vectors, sorted. */
export const vectorFiles = (path: string): readonly string[] => readdirSync(part(path).found ?? path).sort();

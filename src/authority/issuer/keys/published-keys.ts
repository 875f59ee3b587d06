import { lstatSync, readFileSync } from 'node:fs';
import type { JWK } from 'jose';
import { privateFileProblem } from '../../../core/runtime/system/private-file.ts';
import { isProblem, type Problem } from '../../../core/runtime/problem.ts';
import { integer, listOf, made, members, type Reader, text } from '../../../core/runtime/fields.ts';
import { strictJsonFrom } from '../../../core/token/jose/strict-json.ts';
import type { Published } from './key-schedule.ts';

/** A published key. The file contains no private key, but write access to it allows adding a trusted key. */
export interface PublishedKey extends Published {
  readonly jwk: JWK;
}

const MAX_BYTES = 262_144;
const MAX_KEYS = 64;

/** Reads the published keys from a file written with `publishedText`; empty if the file does not exist. */
export function publishedKeysAt(path: string): readonly PublishedKey[] | Problem {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return [];
  const problem = privateFileProblem(path, stats);
  if (problem !== null) return { problem: `the list of published keys ${problem}` };
  if (stats.size > MAX_BYTES) {
    return { problem: `the list of published keys \`${path}\` is larger than ${MAX_BYTES} bytes` };
  }
  const json = strictJsonFrom(readFileSync(path));
  const read = isProblem(json) ? json : publishedMembers(json.value);
  return isProblem(read) ? { problem: `the list of published keys \`${path}\` ${read.problem}` } : read.keys;
}

/** The content of the file. */
export const publishedText = (keys: readonly PublishedKey[]): string =>
  `${JSON.stringify({ keys: keys.map(({ publishedMs, jwk }) => ({ publishedMs, jwk })) }, null, 2)}\n`;

const member = text({ max: 2_048 });
const jwkMembers = members({ kty: member, kid: member, alg: member }, { others: 'ignored' });

const publicJwk: Reader<JWK & { readonly kid: string }> = (value) => {
  const read = jwkMembers(value);
  if (isProblem(read)) return read;
  const own = Object.entries(Object(value)).filter((entry): entry is [string, string] => {
    return PUBLIC_MEMBERS.has(entry[0]) && typeof entry[1] === 'string';
  });
  return { ...Object.fromEntries(own), ...read };
};

const PUBLIC_MEMBERS: ReadonlySet<string> = new Set(['kty', 'kid', 'alg', 'use', 'crv', 'x', 'y', 'n', 'e']);

const publishedKey: Reader<PublishedKey> = made(
  members({ publishedMs: integer(0, Number.MAX_SAFE_INTEGER), jwk: publicJwk }),
  ({ publishedMs, jwk }) => ({ keyId: jwk.kid, publishedMs, jwk }),
);

const publishedMembers = members({ keys: listOf(publishedKey, { min: 0, max: MAX_KEYS }) });

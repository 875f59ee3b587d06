import { createHash } from 'node:crypto';
import { isProblem } from '../../runtime/problem.ts';
import { isEntitiesFile, isPolicyFile } from './source-names.ts';
import type { PolicySource } from './source.ts';

/** What is hashed of a policy folder. */
type Hashed = Pick<
  PolicySource,
  'catalogs' | 'schema' | 'policies' | 'entities' | 'descriptorSets' | 'enforcement' | 'limits'
>;

/** Does not begin with a digit, so that no input of the former form is equal. */
const DOMAIN = 'remit policy set, version 2\n';

/**
 * The hash of a policy set: `sha-256:` and the base64url digest of all files with their names, without the folder's name. Each kind of files is
 * preceded by its name and their number, each name and content by its length, so that different sets have different input. Enforcement and limits
 * are each a kind of their own only if the set has them: a set without has the hash that it had before there were any.
 */
export function setHashOf({
  catalogs,
  schema,
  policies,
  entities,
  descriptorSets,
  enforcement,
  limits,
}: Hashed): string {
  const hash = createHash('sha256').update(DOMAIN);
  const kinds = { catalog: catalogs, schema: [schema], entities, policies };
  for (const [kind, files] of Object.entries(kinds)) {
    hash.update(`${kind} ${files.length}\n`);
    for (const { name, text } of files) for (const part of [name, text]) hash.update(lengthOf(part)).update(part);
  }
  hash.update(`descriptorSets ${descriptorSets.size}\n`);
  for (const part of descriptorParts(descriptorSets)) hash.update(lengthOf(part)).update(part);
  for (const [kind, file] of Object.entries({ enforcement, limits })) {
    if (file === undefined) continue;
    hash.update(`${kind} 1\n`);
    for (const part of [file.name, file.text]) hash.update(lengthOf(part)).update(part);
  }
  return `sha-256:${hash.digest('base64url')}`;
}

/**
 * Whether a policy set has a hash, of the current or the earlier version. The earlier version does not separate the kinds of files, so
 * the names must tell the kinds apart: otherwise a policy could be moved among the entities, where it has no effect.
 */
export const hasSetHash = (set: Hashed, hash: string): boolean =>
  setHashOf(set) === hash || (areKindsNamed(set) && formerHashOf(set) === hash);

/** The earlier version knows no enforcement, no limits, and one file of the catalog. */
const areKindsNamed = ({ catalogs, policies, entities, descriptorSets, enforcement, limits }: Hashed): boolean =>
  enforcement === undefined &&
  limits === undefined &&
  catalogs.length === 1 &&
  policies.every(({ name }) => isPolicyFile(name)) &&
  entities.every(({ name }) => isEntitiesFile(name)) &&
  [...descriptorSets.keys()].every((name) => !isPolicyFile(name) && !isEntitiesFile(name));

function formerHashOf({ catalogs, schema, policies, entities, descriptorSets }: Hashed): string {
  const hash = createHash('sha256');
  for (const { name, text } of [...catalogs, schema, ...entities, ...policies])
    for (const part of [name, text]) hash.update(lengthOf(part)).update(part);
  for (const part of descriptorParts(descriptorSets)) hash.update(lengthOf(part)).update(part);
  return `sha-256:${hash.digest('base64url')}`;
}

const lengthOf = (part: string | Uint8Array): string => `${Buffer.byteLength(part)}:`;

/** In a set in force there are no problems. */
const descriptorParts = (sets: Hashed['descriptorSets']): readonly Uint8Array[] =>
  [...sets].flatMap(([name, bytes]) => [Buffer.from(name), isProblem(bytes) ? Buffer.from(bytes.problem) : bytes]);

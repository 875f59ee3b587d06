import { createHash } from 'node:crypto';
import { catalogFrom } from '../../action/catalog.ts';
import type { Catalog } from '../../action/catalog.ts';
import { inReadingOrder } from '../../action/finding.ts';
import type { Finding } from '../../action/finding.ts';
import { isProblem } from '../../runtime/problem.ts';
import { withCatalogEntities } from '../catalog-entities.ts';
import { entitiesFrom, entityKey } from '../entities.ts';
import type { Entity } from '../entities.ts';
import { staleSchemaFindings } from '../generated-schema.ts';
import { schemaFrom } from '../schema.ts';
import type { Compile } from './compile.ts';
import type { PolicyEntry } from './policy-file.ts';
import type { PolicyTemplate } from './policy-template.ts';
import type { ProofInput, ReadPolicies } from './proof.ts';
import { sampleCalls } from './samples.ts';
import type { PolicySource } from './source.ts';

/** What is wrong with a folder. */
export interface Findings {
  readonly findings: readonly Finding[];
}

/** A folder with its policies read, in which nothing was found so far. No policy set before it is proved. */
export interface ReadSet {
  /** `sha-256:` and the base64url digest of every input, names included; the folder's own name is not. */
  readonly hash: string;
  readonly catalog: Catalog;
  /** The generated schema, as an editor wants it. */
  readonly schema: string;
  /** Every policy with its text and place, those in shadow included. */
  readonly policies: readonly PolicyEntry[];
  readonly templates: readonly PolicyTemplate[];
  /** Those that are written and those of the catalog, by `entityKey`. */
  readonly entities: ReadonlyMap<string, Entity>;
  /** The files it was made of. */
  readonly source: PolicySource;
}

/** A folder that was proved to be a policy set. */
export interface ProvedSet extends ReadSet {
  /** What is legal but can hardly be meant. */
  readonly warnings: readonly Finding[];
}

/**
 * Proves a folder that was read: what a policy set is made of, or every finding.
 *
 * @param onRead called once the policies are read, before their types are checked, where nothing was found so far
 */
export async function provedSetFrom(
  source: PolicySource,
  compile: Compile,
  onRead: (set: ReadSet) => void = () => {},
): Promise<ProvedSet | Findings> {
  const { input, given, found, schemaProblem } = withoutPolicies(source);
  const proof = await compile(input, (read) => {
    if (given !== null) onRead({ ...given.set, ...read });
  });
  if ('problem' in proof) return unfit(source.folder, `the policy set could not be compiled: ${proof.problem}`);
  const { policies, templates } = proof;
  // A base that does not parse says so itself, with its place.
  const isBaseFound = schemaProblem === null || proof.findings.some(({ file }) => file === source.schema.file);
  const findings = [
    ...found,
    ...proof.findings,
    ...(isBaseFound ? [] : unfit(source.schema.file, schemaProblem).findings),
  ];
  if (findings.length > 0 || given === null) return { findings: inReadingOrder(findings) };
  return { ...given.set, policies, templates, warnings: inReadingOrder([...given.remarks, ...proof.warnings]) };
}

/** What a folder comes to without its policies, and what is to be proved. */
function withoutPolicies(source: PolicySource): {
  readonly input: ProofInput;
  /** `null` where catalog, schema or entities cannot be taken. */
  readonly given: { readonly set: Omit<ReadSet, keyof ReadPolicies>; readonly remarks: readonly Finding[] } | null;
  readonly found: readonly Finding[];
  readonly schemaProblem: string | null;
} {
  const catalog = catalogFrom(source.catalog.text, source.catalog.file, source.descriptorSets);
  const files = source.entities.map(entitiesFrom);
  const entities = files.flatMap((file) => file.entities);
  const ofEntities = files.flatMap((file) => file.findings);
  const rest = { base: source.schema, policies: source.policies, entities };
  if ('findings' in catalog) {
    const input = { ...rest, schema: null, samples: [] };
    return { input, given: null, found: [...catalog.findings, ...ofEntities], schemaProblem: null };
  }
  const schema = schemaFrom(source.schema.text, catalog);
  const samples = sampleCalls(catalog);
  if ('problem' in schema) {
    const input = { ...rest, schema: null, samples };
    return { input, given: null, found: ofEntities, schemaProblem: schema.problem };
  }
  const written = new Map(entities.map(({ entity }) => [entityKey(entity.uid), entity]));
  const set = {
    hash: hashOf(source),
    source,
    catalog,
    schema: schema.text,
    entities: withCatalogEntities(written, catalog),
  };
  const remarks = [
    ...catalog.remarks.map(({ rule: _rule, ...finding }) => finding),
    ...staleSchemaFindings(source.generated ?? null, schema),
  ];
  const given = ofEntities.length > 0 ? null : { set, remarks };
  return { input: { ...rest, schema, samples }, given, found: ofEntities, schemaProblem: null };
}

/** One finding about a file as a whole. */
export const unfit = (file: string, message: string): Findings => ({
  findings: [{ file, line: 1, column: 1, message, help: null }],
});

/**
 * What some work on a folder comes to, which is done while its types are still checked in another thread; every finding where the
 * folder is no policy set, whatever the work came to. The policies were read before and nest no deeper than the engine bears.
 */
export async function whileProved<T>(
  source: PolicySource,
  compile: Compile,
  work: (set: ReadSet) => Promise<T> | T,
): Promise<{ readonly set: ProvedSet; readonly done: T } | Findings> {
  const read = Promise.withResolvers<ReadSet | null>();
  const proving = provedSetFrom(source, compile, read.resolve).finally(() => read.resolve(null));
  const early = await read.promise;
  // What fails where the folder is no set fails for that.
  const working = early === null ? null : (async () => work(early))();
  const [result] = await Promise.allSettled([proving, working]);
  if (result.status === 'rejected') throw result.reason;
  const set = result.value;
  return 'findings' in set ? set : { set, done: await (working ?? work(set)) };
}

/** The hash of a policy set: of each name and content with its length before it, so that no two folders are written the same. */
export function hashOf(source: PolicySource): string {
  const hash = createHash('sha256');
  for (const { name, text } of [source.catalog, source.schema, ...source.entities, ...source.policies]) {
    for (const part of [name, text]) hash.update(`${Buffer.byteLength(part)}:`).update(part);
  }
  for (const [name, bytes] of source.descriptorSets) {
    // A set in force has read every one of them.
    const read = isProblem(bytes) ? Buffer.from(bytes.problem) : bytes;
    for (const part of [Buffer.from(name), read]) hash.update(`${part.length}:`).update(part);
  }
  return `sha-256:${hash.digest('base64url')}`;
}

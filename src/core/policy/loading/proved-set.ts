import type { Catalog } from '../../action/catalog/catalog.ts';
import { inReadingOrder } from '../../action/catalog/finding.ts';
import type { SourceFinding } from '../../action/catalog/finding.ts';
import { withCatalogEntities } from '../catalog-entities.ts';
import { entitiesFrom, entityKey } from '../entities.ts';
import type { Entity } from '../entities.ts';
import { replacedFindings, staleSchemaFindings } from '../generated-schema.ts';
import { schemaFrom } from '../schema.ts';
import { systemPorts } from '../../runtime/ports.ts';
import type { Limit } from '../../limit/limit.ts';
import type { ObserveEntry } from '../enforcement.ts';
import type { Compile } from './compile.ts';
import { enforcementFrom } from './enforcement-file.ts';
import { limitsFrom } from './limits-file.ts';
import type { PolicyEntry } from './policy-file.ts';
import type { PolicyTemplate } from './policy-template.ts';
import type { ProofInput, ReadPolicies } from './proof.ts';
import { sampleCalls } from './samples.ts';
import { setHashOf } from './set-hash.ts';
import { catalogOf } from './source-catalog.ts';
import type { PolicySource } from './source.ts';

/** Everything wrong with a folder. */
export interface Findings {
  readonly findings: readonly SourceFinding[];
}

/** A folder whose policies were read without findings so far. It is not a policy set before it is proved. */
export interface ReadSet {
  /** As `setHashOf` has it. */
  readonly hash: string;
  readonly catalog: Catalog;
  /** The generated schema, in Cedar's text format. */
  readonly schema: string;
  /** All policies, shadow policies included. */
  readonly policies: readonly PolicyEntry[];
  readonly templates: readonly PolicyTemplate[];
  /** Entities of the files and of the catalog, by `entityKey`. */
  readonly entities: ReadonlyMap<string, Entity>;
  /** Which calls are observed, in the order of the file; empty if all are enforced. */
  readonly observed: readonly ObserveEntry[];
  /** Limits over all tasks, in the order of the file; empty without one. */
  readonly limits: readonly Limit[];
  /** The files it was loaded from. */
  readonly source: PolicySource;
}

/** A folder that was proved to be a policy set. */
export interface ProvedSet extends ReadSet {
  /** Valid but probably a mistake. */
  readonly warnings: readonly SourceFinding[];
}

/**
 * Proves a folder's content. Returns the parts of a policy set, or every finding.
 *
 * @param onRead called once the policies are read, before their types are checked, if there are no findings so far
 */
export async function provedSetFrom(
  source: PolicySource,
  compile: Compile,
  onRead: (set: ReadSet) => void = () => {},
): Promise<ProvedSet | Findings> {
  const { input, given, found, schemaProblem } = await prepared(source);
  const proof = await compile(input, (read) => {
    if (given !== null) onRead({ ...given.set, ...read });
  });
  if ('problem' in proof) return findingOfFile(source.folder, `the policy set could not be compiled: ${proof.problem}`);
  const { policies, templates } = proof;
  // The proof reports a base schema that does not parse, with its place.
  const isBaseFound = schemaProblem === null || proof.findings.some(({ file }) => file === source.schema.file);
  const findings = [
    ...found,
    ...proof.findings,
    ...(isBaseFound ? [] : findingOfFile(source.schema.file, schemaProblem).findings),
  ];
  if (findings.length > 0 || given === null) return { findings: inReadingOrder(findings) };
  return { ...given.set, policies, templates, warnings: inReadingOrder([...given.remarks, ...proof.warnings]) };
}

/** A folder of which everything but the policies is read. */
interface PreparedProof {
  readonly input: ProofInput;
  /** `null` if catalog, schema or entities are invalid. */
  readonly given: {
    readonly set: Omit<ReadSet, keyof ReadPolicies>;
    readonly remarks: readonly SourceFinding[];
  } | null;
  readonly found: readonly SourceFinding[];
  readonly schemaProblem: string | null;
}

/** Reads everything but the policies, and prepares the proof. */
async function prepared(source: PolicySource): Promise<PreparedProof> {
  const catalog = await catalogOf(source);
  const files = source.entities.map(entitiesFrom);
  const entities = files.flatMap((file) => file.entities);
  const rest = { base: source.schema, policies: source.policies, entities };
  const readCatalog = 'findings' in catalog ? null : catalog;
  const enforcement = enforcementFrom(source.enforcement, { catalog: readCatalog, nowMs: systemPorts.nowMs() });
  const limits = limitsFrom(source.limits, readCatalog);
  const ofFiles = [...files.flatMap((file) => file.findings), ...enforcement.findings, ...limits.findings];
  if ('findings' in catalog) {
    const input = { ...rest, schema: null, samples: [] };
    return { input, given: null, found: [...catalog.findings, ...ofFiles], schemaProblem: null };
  }
  const schema = schemaFrom(source.schema.text, catalog);
  const samples = sampleCalls(catalog);
  if ('problem' in schema) {
    const input = { ...rest, schema: null, samples };
    return { input, given: null, found: ofFiles, schemaProblem: schema.problem };
  }
  const written = new Map(entities.map(({ entity }) => [entityKey(entity.uid), entity]));
  const set = {
    hash: setHashOf(source),
    source,
    catalog,
    schema: schema.text,
    entities: withCatalogEntities(written, catalog),
    observed: enforcement.observed,
    limits: limits.limits,
  };
  const remarks = [
    ...catalog.remarks.map(({ rule: _rule, ...finding }) => finding),
    ...replacedFindings(source.schema, schema),
    ...staleSchemaFindings(source.generated ?? null, schema),
    ...enforcement.warnings,
    ...limits.warnings,
  ];
  const given = ofFiles.length > 0 ? null : { set, remarks };
  return { input: { ...rest, schema, samples }, given, found: ofFiles, schemaProblem: null };
}

/** A single finding about a whole file. */
export const findingOfFile = (file: string, message: string): Findings => ({
  findings: [{ file, line: 1, column: 1, message, help: null }],
});

/**
 * Runs `work` on a folder while another thread still checks its types. Returns every finding if the proof fails, whatever the
 * result of the work. The work receives policies that were parsed and whose depth is bounded.
 */
export async function whileProved<T>(
  source: PolicySource,
  compile: Compile,
  work: (set: ReadSet) => Promise<T> | T,
): Promise<{ readonly set: ProvedSet; readonly done: T } | Findings> {
  const read = Promise.withResolvers<ReadSet | null>();
  const proving = provedSetFrom(source, compile, read.resolve).finally(() => read.resolve(null));
  const early = await read.promise;
  // `allSettled`: findings of the proof take precedence over an exception of the work.
  const working = early === null ? null : (async () => work(early))();
  const [result] = await Promise.allSettled([proving, working]);
  if (result.status === 'rejected') throw result.reason;
  const set = result.value;
  return 'findings' in set ? set : { set, done: await (working ?? work(set)) };
}

import { createHash } from 'node:crypto';
import { catalogFrom } from '../../action/catalog.ts';
import type { Catalog } from '../../action/catalog.ts';
import { inReadingOrder } from '../../action/finding.ts';
import type { Finding } from '../../action/finding.ts';
import { isProblem } from '../../token/members.ts';
import { withCatalogEntities } from '../catalog-entities.ts';
import { compileInWorker } from './compile.ts';
import type { Compile } from './compile.ts';
import { eachOf } from '../each.ts';
import type { Each } from '../each.ts';
import { Engine } from '../engine.ts';
import type { EngineAnswer, EngineRules, EngineSizes, Keep } from '../engine.ts';
import { entitiesFrom, entityKey } from '../entities.ts';
import type { PolicyEntry } from './policy-file.ts';
import type { PolicyTemplate } from './policy-template.ts';
import type { Question } from '../question.ts';
import { staleSchemaFindings } from '../generated-schema.ts';
import { linesOf } from '../answers/key-reads.ts';
import { SlicePool } from '../pool.ts';
import { readsTogether } from '../answers/reads.ts';
import { sampleCalls } from './samples.ts';
import { schemaFrom } from '../schema.ts';
import { folderStamp, readPolicySource, systemDisk } from './source.ts';
import type { PolicyDisk, PolicySource } from './source.ts';

/** A policy set in force: catalog, policies and entities, proved together and never changed. */
export interface PolicySet {
  /** `sha-256:` and the base64url digest of every input, names included; the folder's own name is not. */
  readonly hash: string;
  /** Which set in force this is since the process began, from 1: tells two loads of equal files apart. 0 before it is in force. */
  readonly generation: number;
  readonly catalog: Catalog;
  /** The generated schema, as an editor wants it. */
  readonly schema: string;
  /** Of the policies that are enforced. */
  readonly policyCount: number;
  /** Every policy with its text and place, those in shadow included. */
  readonly policies: readonly PolicyEntry[];
  readonly templates: readonly PolicyTemplate[];
  /** What a question is asked with beside the policies. */
  readonly facts: Pick<EngineRules, 'entities' | 'actionGroups'>;
  /** Ids of the `@shadow` policies, sorted; they are no part of an answer. */
  readonly shadowIds: readonly string[];
  /** What each policy in shadow would do, by itself. */
  readonly shadow: Each;
  /** What is legal but can hardly be meant. */
  readonly warnings: readonly Finding[];
  /** The files it was made of. */
  readonly source: PolicySource;
  /** The signed bundle it came in; `null` for a folder. */
  readonly bundle: {
    readonly keyId: string | null;
    readonly version: string;
    readonly serial: number;
    readonly issuedAtMs: number;
  } | null;
  /** When the set must no longer be used, milliseconds since the Unix epoch; `null` where it does not say. */
  readonly expiresAtMs: number | null;
  /** Whether any policy is enforced. A set that is not ready denies everything. */
  readonly ready: boolean;
  /** Never throws. The same answer with and without `keep`, which lets it come from the cache. */
  readonly ask: (question: Question, keep?: Keep) => EngineAnswer;
  /** The enforced policies whose scope the question meets; no other can match. Never throws. */
  readonly canMatch: (question: Question) => readonly PolicyEntry[];
  /** What the set holds at the moment of slices and cached answers. */
  readonly sizes: () => EngineSizes;
  /**
   * What of a question an answer to it is kept by beside its names, a line each, sorted: what the policies read that can match.
   * `null` where none can: then nothing is asked and nothing kept. Never throws.
   */
  readonly keyReads: (question: Question) => readonly string[] | null;
  /** The `@reason` of a policy. */
  readonly adviceOf: (policyId: string) => string | null;
}

/** What loading works with. */
export interface LoadPorts {
  readonly disk: PolicyDisk;
  readonly compile: Compile;
}

const systemLoadPorts = (): LoadPorts => ({ disk: systemDisk, compile: compileInWorker() });

/** What is wrong with a folder. */
export interface Findings {
  readonly findings: readonly Finding[];
}

/**
 * Loads a policy folder, all or nothing: the set in force, or every finding. The text reaches the engine of this thread
 * only after it was proved in another.
 */
export async function loadPolicies(
  folder: string,
  ports: LoadPorts = systemLoadPorts(),
): Promise<PolicySet | Findings> {
  const source = await readUnchanged(folder, ports.disk);
  if ('findings' in source) return source;
  if ('unreadable' in source) return unfit(folder, `the policy folder could not be read: ${source.unreadable}`);
  return policySetFrom(source, ports.compile);
}

const MAX_READS = 5;

/** The folder as it was at one moment: one that changed while it was read is read again, at most 5 times. */
async function readUnchanged(folder: string, disk: PolicyDisk): ReturnType<typeof readPolicySource> {
  let before = await folderStamp(folder, disk);
  for (let read = 0; read < MAX_READS; read += 1) {
    const source = await readPolicySource(folder, disk);
    const after = await folderStamp(folder, disk);
    if (isProblem(after) || after === before) return source;
    before = after;
  }
  return unfit(folder, 'the policy folder changed again and again while it was read');
}

const unfit = (file: string, message: string): Findings => ({
  findings: [{ file, line: 1, column: 1, message, help: null }],
});

/** The policy set of a folder that was read, or every finding. */
export async function policySetFrom(
  source: PolicySource,
  compile: Compile = compileInWorker(),
): Promise<PolicySet | Findings> {
  const catalog = catalogFrom(source.catalog.text, source.catalog.file, source.descriptorSets);
  const isCatalog = !('findings' in catalog);
  const schema = isCatalog ? schemaFrom(source.schema.text, catalog) : null;
  const isSchema = schema !== null && !('problem' in schema);
  const read = source.entities.map(entitiesFrom);
  const entities = read.flatMap((file) => file.entities);
  const proof = await compile({
    base: source.schema,
    schema: isSchema ? schema : null,
    policies: source.policies,
    entities,
    samples: isCatalog ? sampleCalls(catalog) : [],
  });
  if ('problem' in proof) return unfit(source.folder, `the policy set could not be compiled: ${proof.problem}`);
  const findings = [
    ...(isCatalog ? [] : catalog.findings),
    ...read.flatMap((file) => file.findings),
    ...proof.findings,
    // A base that does not parse says so itself, with its place.
    ...(schema === null || isSchema || proof.findings.some(({ file }) => file === source.schema.file)
      ? []
      : unfit(source.schema.file, schema.problem).findings),
  ];
  if (findings.length > 0 || !isCatalog || !isSchema) return { findings: inReadingOrder(findings) };
  const remarks = catalog.remarks.map(({ rule: _rule, ...finding }) => finding);
  const written = new Map(entities.map(({ entity }) => [entityKey(entity.uid), entity]));
  const inputs = {
    hash: hashOf(source),
    source,
    catalog,
    schema: schema.text,
    templates: proof.templates,
    warnings: inReadingOrder([...remarks, ...proof.warnings, ...staleSchemaFindings(source.generated ?? null, schema)]),
  };
  return setOf(inputs, proof.policies, withCatalogEntities(written, catalog));
}

function setOf(
  inputs: Pick<PolicySet, 'hash' | 'source' | 'catalog' | 'schema' | 'warnings' | 'templates'>,
  policies: readonly PolicyEntry[],
  entities: EngineRules['entities'],
): PolicySet {
  const enforced = policies.filter((policy) => !policy.shadow);
  const advice = new Map(enforced.map((policy) => [policy.id, policy.reason]));
  const actionGroups = new Map<string, readonly string[]>([
    ['issue', []],
    ...Array.from(inputs.catalog.actions.values(), (action) => [action.id, [action.risk]] as const),
  ]);
  const facts = { entities, actionGroups };
  const pool = new SlicePool();
  const engine = new Engine({ generation: inputs.hash, policies: enforced, ...facts }, { pool }).warm();
  const canMatch = (question: Question): readonly PolicyEntry[] =>
    engine.members(question).flatMap((index) => enforced[index] ?? []);
  return {
    ...inputs,
    policies,
    facts,
    policyCount: enforced.length,
    shadowIds: policies.flatMap((policy) => (policy.shadow ? [policy.id] : [])).sort(),
    shadow: eachOf(
      policies.filter(({ shadow }) => shadow),
      { ...facts, generation: `${inputs.hash} in shadow` },
      pool,
    ),
    generation: 0,
    bundle: null,
    expiresAtMs: null,
    ready: enforced.length > 0,
    ask: (question, keep) => engine.ask(question, keep),
    canMatch,
    sizes: () => engine.sizes,
    keyReads: (question) => {
      const asked = canMatch(question);
      return asked.length === 0 ? null : linesOf(readsTogether(asked.map(({ reads }) => reads)));
    },
    adviceOf: (policyId) => advice.get(policyId) ?? null,
  };
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

import { isProblem } from '../../runtime/problem.ts';
import { linesOf } from '../answers/key-reads.ts';
import { readsTogether } from '../answers/reads.ts';
import { eachOf } from '../each.ts';
import type { Each } from '../each.ts';
import { Engine } from '../engine.ts';
import type { EngineAnswer, EngineRules, EngineSizes, Keep } from '../engine.ts';
import { SlicePool } from '../pool.ts';
import type { Question } from '../question.ts';
import { compileInWorker } from './compile.ts';
import type { Compile } from './compile.ts';
import type { PolicyEntry } from './policy-file.ts';
import { provedSetFrom, unfit } from './proved-set.ts';
import type { Findings, ProvedSet } from './proved-set.ts';
import { folderStamp, readPolicySource, systemDisk } from './source.ts';
import type { PolicyDisk, PolicySource } from './source.ts';

/** A policy set in force: catalog, policies and entities, proved together and never changed. */
export interface PolicySet extends Omit<ProvedSet, 'entities'> {
  /** Which set in force this is since the process began, from 1: tells two loads of equal files apart. 0 before it is in force. */
  readonly generation: number;
  /** Of the policies that are enforced. */
  readonly policyCount: number;
  /** What a question is asked with beside the policies. */
  readonly facts: Pick<EngineRules, 'entities' | 'actionGroups'>;
  /** Ids of the `@shadow` policies, sorted; they are no part of an answer. */
  readonly shadowIds: readonly string[];
  /** What each policy in shadow would do, by itself. */
  readonly shadow: Each;
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

/** The policy set of a folder that was read, or every finding. */
export async function policySetFrom(
  source: PolicySource,
  compile: Compile = compileInWorker(),
): Promise<PolicySet | Findings> {
  const proved = await provedSetFrom(source, compile);
  return 'findings' in proved ? proved : policySetOf(proved);
}

/** A policy set with its engine, ready to answer. */
export function policySetOf({ policies, entities, ...inputs }: ProvedSet): PolicySet {
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

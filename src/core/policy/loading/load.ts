import { isProblem } from '../../runtime/problem.ts';
import { readsAsLines } from '../answers/key-reads.ts';
import { readsTogether } from '../answers/reads.ts';
import { SliceIndex } from '../answers/slice.ts';
import { eachOf } from '../each.ts';
import type { Each } from '../each.ts';
import { Engine } from '../engine.ts';
import type { EngineAnswer, EngineRules, EngineSizes, Keep } from '../engine.ts';
import { SlicePool } from '../pool.ts';
import type { Question } from '../question.ts';
import { compileInWorker, compileToServe } from './compile.ts';
import type { Compile } from './compile.ts';
import type { PolicyEntry } from './policy-file.ts';
import { provedSetFrom, findingOfFile } from './proved-set.ts';
import type { Findings, ProvedSet } from './proved-set.ts';
import { setHashOf } from './set-hash.ts';
import { folderStamp, readPolicySource, systemDisk } from './source.ts';
import type { PolicyDisk, PolicySource } from './source.ts';

/** A policy set in force: catalog, policies and entities, proved together and never changed. */
export interface PolicySet extends Omit<ProvedSet, 'entities'> {
  /** Its generation: 1 for the first set in force of this process; 0 before it is in force. */
  readonly generation: number;
  /** Number of enforced policies. */
  readonly policyCount: number;
  /** What the engine needs besides the policies. */
  readonly facts: Pick<EngineRules, 'entities' | 'actionGroups'>;
  /** Ids of the `@shadow` policies, sorted; they do not affect answers. */
  readonly shadowIds: readonly string[];
  /** Evaluates each shadow policy separately. */
  readonly shadow: Each;
  /** The signed bundle it was loaded from; `null` for a folder. */
  readonly bundle: {
    /** Names of the keys that signed it. */
    readonly signers: readonly string[];
    readonly name: string;
    readonly version: string;
    readonly serial: number;
    readonly issuedAtMs: number;
  } | null;
  /** Expiry, in milliseconds since the Unix epoch; `null` for none. */
  readonly expiresAtMs: number | null;
  /** Whether any policy is enforced. A set that is not ready denies everything. */
  readonly ready: boolean;
  /** Answers a question. `keep` allows the cache, which never changes the answer. Never throws. */
  readonly ask: (question: Question, keep?: Keep) => EngineAnswer;
  /** The enforced policies whose scope matches the question; no other policy can match. Never throws. */
  readonly canMatch: (question: Question) => readonly PolicyEntry[];
  /** Current number of slices and cached answers. */
  readonly sizes: () => EngineSizes;
  /**
   * What the cache key of a question contains besides its names, as sorted lines: everything that the policies that can match
   * read. `null` if none can match: then the engine is not asked and nothing is cached. Never throws.
   */
  readonly keyReads: (question: Question) => readonly string[] | null;
  /** The `@reason` of a policy. */
  readonly adviceOf: (policyId: string) => string | null;
  /** Whether a policy is a forbid with `@always("true")`. */
  readonly isAlways: (policyId: string) => boolean;
  /**
   * Ids of the matching forbids with `@always("true")`, evaluated separately, so that the failure of another policy does not hide
   * them, such as of a policy that reads the arguments of an unreadable call. A forbid that itself fails is not among them; empty
   * if the engine gives no answer. `null` if the set has no such forbid. Never throws.
   */
  readonly alwaysForbids: ((question: Question) => readonly string[]) | null;
}

/** What a set is made with. */
export interface SetPorts {
  readonly compile: Compile;
  /** The instance of the engine, shared by sets that replace each other. Default: a new instance. */
  readonly pool?: SlicePool;
}

/** What loading needs. */
export interface LoadPorts {
  readonly disk: PolicyDisk;
  readonly compile: Compile;
}

const systemLoadPorts = (): LoadPorts => ({ disk: systemDisk, compile: compileInWorker() });

/**
 * Loads a policy folder, all or nothing: a policy set, or every finding. The text reaches this thread's engine only after it
 * was proved in another thread.
 */
export async function loadPolicies(
  folder: string,
  ports: LoadPorts = systemLoadPorts(),
): Promise<PolicySet | Findings> {
  const source = await policySourceIn(folder, ports.disk);
  return 'findings' in source ? source : policySetFrom(source, ports);
}

/** The content of a policy folder, or every finding. */
export async function policySourceIn(folder: string, disk: PolicyDisk): Promise<PolicySource | Findings> {
  const source = await readUnchanged(folder, disk);
  if (!('unreadable' in source)) return source;
  return findingOfFile(folder, `the policy folder could not be read: ${source.unreadable}`);
}

const MAX_READS = 5;

/** A consistent read of the folder: if it changed during the read, it is read again, at most 5 times. */
async function readUnchanged(folder: string, disk: PolicyDisk): ReturnType<typeof readPolicySource> {
  let before = await folderStamp(folder, disk);
  for (let read = 0; read < MAX_READS; read += 1) {
    const source = await readPolicySource(folder, disk);
    const after = await folderStamp(folder, disk);
    if (isProblem(after) || after === before) return source;
    before = after;
  }
  return findingOfFile(folder, 'the policy folder changed again and again while it was read');
}

/** The policy set of a folder's content, or every finding. Checks are answered meanwhile: no turn of the event loop is long. */
export async function policySetFrom(
  source: PolicySource,
  { compile, pool }: SetPorts = { compile: compileInWorker() },
): Promise<PolicySet | Findings> {
  const proving = provedSetFrom(source, compile);
  // Another thread proves the policies meanwhile.
  pool?.warm();
  // INVARIANT: no question is put to a set before its proof has ended without findings.
  const parts = await proving;
  if ('findings' in parts) return parts;
  const index = await SliceIndex.inTurns(enforcedOf(parts).map(({ scope }) => scope));
  pool?.clear();
  return policySetOf(parts, { index, ...(pool && { pool }) });
}

/**
 * As `policySetFrom`, for a server, whose sets replace each other: they share an instance of the engine, unchanged content gives the same
 * set again, and from the second set on the proof yields to checks.
 */
export function policySetsToServe(): (source: PolicySource) => Promise<PolicySet | Findings> {
  const ports = { compile: compileToServe(), pool: new SlicePool() };
  let last: PolicySet | null = null;
  return async (source) => {
    if (last !== null && isSameContent(last.source, source)) return last;
    const made = await policySetFrom(source, ports);
    if (!('findings' in made)) last = made;
    return made;
  };
}

const isSameContent = (one: PolicySource, other: PolicySource): boolean =>
  setHashOf(one) === setHashOf(other) && one.generated?.text === other.generated?.text;

const enforcedOf = ({ policies }: Pick<ProvedSet, 'policies'>): readonly PolicyEntry[] =>
  policies.filter(({ shadow }) => !shadow);

/** Creates a policy set with its engine, ready to answer. @param made the index and the pool, if they exist already */
export function policySetOf(
  { policies, entities, ...inputs }: ProvedSet,
  { index, pool = new SlicePool() }: { readonly index?: SliceIndex; readonly pool?: SlicePool } = {},
): PolicySet {
  const enforced = enforcedOf({ policies });
  const advice = new Map(enforced.map((policy) => [policy.id, policy.reason]));
  const always = enforced.filter((policy) => policy.always);
  const alwaysIds = new Set(always.map(({ id }) => id));
  const actionGroups = new Map<string, readonly string[]>([
    ['issue', []],
    ...Array.from(inputs.catalog.actions.values(), (action) => [action.id, [action.risk]] as const),
  ]);
  const facts = { entities, actionGroups };
  const engine = new Engine({ generation: inputs.hash, policies: enforced, index, ...facts }, { pool }).warm();
  const alwaysEngine =
    always.length === 0
      ? null
      : new Engine({ generation: `${inputs.hash} always`, policies: always, ...facts }, { pool });
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
      return asked.length === 0 ? null : readsAsLines(readsTogether(asked.map(({ reads }) => reads)));
    },
    adviceOf: (policyId) => advice.get(policyId) ?? null,
    isAlways: (policyId) => alwaysIds.has(policyId),
    alwaysForbids: alwaysEngine && ((question) => alwaysEngine.outcomes(question)?.reason.toSorted() ?? []),
  };
}

import { compileForTool } from '../../core/policy/loading/compile.ts';
import { policySetFrom } from '../../core/policy/loading/load.ts';
import { isCatalogFile } from '../../core/policy/loading/source-names.ts';
import { builtInSchema } from '../../core/policy/loading/source.ts';
import type { PolicySource, SourceFile } from '../../core/policy/loading/source.ts';
import type { DescriptorFiles } from '../../core/action/catalog/catalog-descriptor-sets.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { authorizationDetailsFrom } from '../../core/token/authorization-details.ts';
import type { AuthorizationDetail } from '../../core/token/authorization-details.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { intentFileFrom } from '../../agent/task/intent.ts';
import { matchesGlob } from '../policy/import/selection.ts';
import type { KnownSet } from './beside/known-set.ts';
import type { Widened } from './beside/widened.ts';
import { suitesFor } from './learnt-suites.ts';
import type { ApiDescriptions } from './descriptions/api-descriptions.ts';
import { CallJudge } from './judge.ts';
import { learntCallFrom } from './learnt-call.ts';
import type { LearntCall } from './learnt-call.ts';
import { learntFolder } from './learnt-folder.ts';
import type { LearntFolder } from './learnt-folder.ts';
import { Observations } from './seen/observations.ts';
import type { OperationOf } from './seen/observations.ts';
import { answeredUsesIn } from './answered-uses.ts';
import type { ReadCounts, RecordSource, Span } from './record-window.ts';

/** What to learn from. */
export interface LearnRequest {
  readonly sources: readonly RecordSource[];
  /** From the first to the last call that is read. */
  readonly span: Span;
  /** Patterns of agents; all if empty. */
  readonly agents: readonly string[];
  readonly described: ApiDescriptions;
  readonly descriptorFiles: DescriptorFiles;
  readonly operationOf: OperationOf;
  /** The existing policy folder (`--policies`); `null` for none. */
  readonly beside: KnownSet | null;
  /** Called with what is done and how many records were read. */
  readonly onProgress: (what: string, records: number) => void;
}

/** What was learnt, and what it would have decided of the last fifth. */
export interface Learnt {
  readonly span: Span;
  /** From here on calls were judged, and not learnt. */
  readonly judgedFromMs: number;
  readonly counts: ReadCounts;
  readonly seen: Observations;
  readonly folder: LearntFolder;
  /** The ids of the policies in force, as the engine read them. */
  readonly policies: readonly string[];
  readonly judge: CallJudge;
  /** What other policies of the folder permit of the actions that were learnt. */
  readonly widened: readonly Widened[];
}

/** The last fifth of the span is judged. */
const JUDGED = 5;

/**
 * Learns a policy folder from the first four fifths of a span, and judges the last fifth by it. A problem if nothing can be learnt, or, which
 * should never happen, if what was made does not load.
 */
export async function learn(request: LearnRequest): Promise<Learnt | Problem> {
  const { sources, span, described, descriptorFiles, operationOf, beside, onProgress } = request;
  const judgedFromMs = Math.floor(span.toMs - (span.toMs - span.fromMs) / JUDGED);
  const counts: ReadCounts = { records: 0, uses: 0, foreign: 0, missing: 0 };
  const seen = new Observations({ ...span, toMs: judgedFromMs }, operationOf);
  const reading = { counts, keep: learntCallFrom, reached: new Map<RecordSource, number>() };
  const learning = { ...reading, onRecord: (records: number) => onProgress('learning from', records) };
  for (const { use: call, fate } of answeredUsesIn(sources, { ...span, toMs: judgedFromMs }, learning)) {
    if (call === 'foreign') counts.foreign += 1;
    else if (fate === 'failed') seen.leaveOut('that failed upstream: refused, unknown there, or not answered');
    else if (fate === 'withdrawn') seen.leaveOut('whose allow was withdrawn');
    else if ('left' in call) seen.leaveOut(call.left);
    else if (!isAsked(call, request.agents)) seen.leaveOut('of agents that --agents does not name');
    else addTo(seen, call, beside);
  }
  const folder = await learntFolder(seen, { described, descriptorFiles, beside });
  // The folder has all that is needed of the hosts, whose tries take as much memory as everything that follows.
  seen.hosts.clear();
  if (folder === null) return { problem: 'the catalog of what was seen does not load: nothing is written' };
  if (folder.permits.length === 0) return { problem: 'no call was seen from which something can be learnt' };
  const set = await policySetFrom(sourceOf(folder, descriptorFiles, beside), { compile: compileForTool() });
  if ('findings' in set) {
    const [first] = set.findings;
    return {
      problem: `what was learnt does not load: ${first?.file ?? ''}:${first?.line ?? 0}: ${first?.message ?? ''}`,
    };
  }
  const judge = new CallJudge(set, grantsIn(folder), beside === null);
  const judging = { ...reading, onRecord: (records: number) => onProgress('judging', records) };
  for (const { use: call, fate } of answeredUsesIn(sources, { ...span, fromMs: judgedFromMs }, judging)) {
    if (call === 'foreign') counts.foreign += 1;
    else if (!('left' in call) && fate !== 'failed' && fate !== 'withdrawn' && isAsked(call, request.agents))
      judge.add(call);
  }
  const { files: suites, widened } = suitesFor(folder, set, beside);
  const files = new Map([...folder.files, ...suites]);
  const policies = set.policies.map(({ id }) => id);
  return { span, judgedFromMs, counts, seen, folder: { ...folder, files }, policies, judge, widened };
}

/** Adds a call to an action of the existing folder, or a call that no catalog knows; other calls are left out. */
function addTo(seen: Observations, call: LearntCall, beside: KnownSet | null): void {
  const action = beside?.actionOf(call) ?? null;
  if (beside !== null && action !== null) seen.addKnown(call, action, beside.answerTo(call, action));
  else if (call.action === null) seen.add(call);
  else if (beside === null) seen.leaveOut('of an action that the catalog of that time had: learn with --policies');
  else seen.leaveOut('of an action that the policy folder does not have any more');
}

const isAsked = ({ agent }: LearntCall, patterns: readonly string[]): boolean =>
  patterns.length === 0 || patterns.some((pattern) => matchesGlob(pattern, agent));

/** The learnt folder merged with the existing folder, as if it were read from a disk. */
function sourceOf({ files }: LearntFolder, descriptorFiles: DescriptorFiles, beside: KnownSet | null): PolicySource {
  const file = (name: string): SourceFile => ({ name, file: name, text: files.get(name) ?? '' });
  const names = [...files.keys()];
  const source = beside?.set.source;
  const enforcement = files.has('enforcement.yaml') ? file('enforcement.yaml') : source?.enforcement;
  return {
    folder: '',
    catalogs: catalogsBeside(source?.catalogs ?? [], names.filter(isCatalogFile).map(file)),
    descriptorSets: new Map([...(source?.descriptorSets ?? []), ...descriptorFiles]),
    schema: source?.schema ?? builtInSchema(''),
    policies: [...(source?.policies ?? []), ...names.filter((name) => name.endsWith('.cedar')).map(file)],
    entities: [...(source?.entities ?? []), ...names.filter((name) => name.endsWith('.cedarentities.json')).map(file)],
    ...(enforcement === undefined ? {} : { enforcement }),
    ...(source?.limits === undefined ? {} : { limits: source.limits }),
  };
}

/** The files of a catalog, in which written files replace given files of the same name, sorted by name. */
const catalogsBeside = (given: readonly SourceFile[], written: readonly SourceFile[]): readonly SourceFile[] =>
  [...new Map([...given, ...written].map((file) => [file.name, file])).values()].toSorted((one, other) =>
    one.name < other.name ? -1 : 1,
  );

/** What the learnt intents grant, by agent. */
function grantsIn({ intents, files }: LearntFolder): ReadonlyMap<string, readonly AuthorizationDetail[]> {
  return new Map(
    Array.from(intents, ([agent, name]) => {
      const read = intentFileFrom(files.get(name) ?? '', name);
      const details = 'findings' in read ? [] : authorizationDetailsFrom(read.access.map(({ detail }) => detail));
      return [agent, isProblem(details) ? [] : details] as const;
    }),
  );
}

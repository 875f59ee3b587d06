/** Results of analyses and tests of policy sets, for `remit ledger evidence`: from files, or made now. */
import { hash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { systemPorts } from '../../core/runtime/ports.ts';
import { isProblem, type Problem } from '../../core/runtime/problem.ts';
import type { JudgedSet } from '../../tools/evidence/judged-set.ts';
import { setResultFrom, type AnalysisResult, type SetResult } from '../../tools/evidence/set-results.ts';
import { heldTo } from '../../tools/policy/analyze/invariants.ts';
import { programVersions } from '../../tools/policy/analyze/programs.ts';
import { Prover } from '../../tools/policy/analyze/prover.ts';
import type { CommandIo } from '../command.ts';
import { programsFor } from '../policy/solver-options.ts';
import { specificationAt } from '../policy/specification.ts';
import { isCommandRefusal, taskRefusal, type CommandRefusal } from '../task/task-source.ts';

const MAX_RESULT_BYTES = 64 * 1024 ** 2;
/** Most files of results. */
const MAX_RESULTS = 100;

/** Reads at most 100 files of results, each of at most 64 MiB; refuses all if one of them is not a result. */
export async function resultsIn(files: readonly string[]): Promise<readonly SetResult[] | CommandRefusal> {
  if (files.length > MAX_RESULTS) return taskRefusal(`--result may be given ${MAX_RESULTS} times`);
  const results: SetResult[] = [];
  for (const file of files) {
    const bytes = await bytesOf(file);
    if (isProblem(bytes)) return taskRefusal(`the result \`${file}\` ${bytes.problem}`);
    const from = { file: basename(file), sha256: hash('sha256', bytes, 'base64url') };
    const result = setResultFrom(jsonFrom(bytes), from);
    if (isProblem(result)) return taskRefusal(`the result \`${file}\`: ${result.problem}`);
    results.push(result);
  }
  return results;
}

async function bytesOf(file: string): Promise<Buffer | Problem> {
  const about = await stat(file).catch((error: NodeJS.ErrnoException) => error);
  if ('message' in about) return { problem: `could not be read: ${about.code ?? 'unknown error'}` };
  if (!about.isFile() || about.size > MAX_RESULT_BYTES)
    return { problem: `must be a file of at most ${MAX_RESULT_BYTES} bytes` };
  return readFile(file).catch((error: NodeJS.ErrnoException) => ({
    problem: `could not be read: ${error.code ?? 'unknown error'}`,
  }));
}

function jsonFrom(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return null;
  }
}

/** Analyses each set whose policy text is available against a specification; the other sets are skipped. */
export async function analysedNow(
  sets: ReadonlyMap<string, JudgedSet | Problem>,
  { spec, engine, io }: { readonly spec: string; readonly engine: string | undefined; readonly io: EngineIo },
): Promise<readonly AnalysisResult[] | CommandRefusal> {
  const programs = await programsFor(engine, io);
  if (isProblem(programs)) return taskRefusal(programs.problem);
  const versions = await programVersions(programs);
  const results: AnalysisResult[] = [];
  for (const judged of sets.values()) {
    if (isProblem(judged)) continue;
    const { set } = judged;
    const specification = await specificationAt(spec, set);
    if (isCommandRefusal(specification)) return specification;
    const at = new Date(systemPorts.nowMs()).toISOString();
    const prover = await Prover.open(programs, set.schema, { within: io.environment['TMPDIR'] });
    try {
      const held = await heldTo(specification.set, set, prover, {
        atOnce: 2,
        actions: null,
        onProgress: (done, all) => io.progress?.(`${done} of ${all} questions about the set ${set.hash}`),
      });
      if (held.length === 0) return taskRefusal(`\`${spec}\` has no policy about an action of the set \`${set.hash}\``);
      const answers = held.map(({ invariants, action, verdict }) => ({
        invariants: invariants.map(({ id }) => id),
        reason: invariants.map(({ reason }) => reason).find((reason) => reason !== null) ?? null,
        action,
        verdict: verdict.kind,
      }));
      const { file } = specification;
      results.push({ kind: 'analysis', policySet: set.hash, at, from: null, prover: versions, spec: file, answers });
    } finally {
      await prover.close();
    }
  }
  return results;
}

type EngineIo = Pick<CommandIo, 'environment' | 'progress'>;

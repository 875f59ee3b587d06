/** Proves which surviving mutants decide every request as the original does, and writes test cases for the others. */
import type { PolicySet } from '../../core/policy/loading/load.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import type { ExampleCase } from '../../tools/policy/analyze/example-case.ts';
import { judgedMutants } from '../../tools/policy/analyze/judged-mutants.ts';
import { Prover } from '../../tools/policy/analyze/prover.ts';
import type { Mutation, Survivor } from '../../tools/policy/cases/mutation/mutation.ts';
import type { CommandIo } from '../command.ts';
import { casesProblem, casesWritten, programsFor, timeoutFrom } from './solver-options.ts';

/** A mutant that no case noticed, and that is not proved equivalent to the original. */
export interface JudgedSurvivor extends Survivor {
  /** A test that would notice it; `null` if none is known. */
  readonly case: ExampleCase | null;
  /** What was tried without an answer. */
  readonly tried: readonly string[];
}

/** The result of mutation testing with proofs. */
export interface ProvedMutation extends Mutation {
  readonly survivors: readonly JudgedSurvivor[];
  /** Mutants that are proved to decide every request as the original does. */
  readonly equivalent: readonly Survivor[];
}

/** How mutants are proved. */
export interface MutationProof {
  /** The folder of the programs; default: where they are installed. */
  readonly engine: string | undefined;
  readonly timeoutSeconds: number;
  /** The new file for the cases. */
  readonly cases: string | undefined;
}

/** The options as given. */
interface Values {
  readonly mutate: boolean;
  readonly prove: boolean;
  readonly engine?: string;
  readonly timeout?: string;
  readonly cases?: string;
}

/** How mutants are to be proved; `null` without `--prove`. A file of cases that exists already is a problem. */
export async function mutationProofFrom({
  mutate,
  prove,
  engine,
  timeout,
  cases,
}: Values): Promise<MutationProof | null | Problem> {
  const isMore = engine !== undefined || timeout !== undefined || cases !== undefined;
  if (!prove) return isMore ? { problem: '`--engine`, `--timeout` and `--cases` go with `--prove`' } : null;
  if (!mutate) return { problem: '`--prove` goes with `--mutate`' };
  const timeoutSeconds = timeoutFrom(timeout);
  if (isProblem(timeoutSeconds)) return timeoutSeconds;
  return (await casesProblem(cases)) ?? { engine, timeoutSeconds, cases };
}

/** Asks the solver about each mutant that survived, and writes the cases if a file is named. */
export async function provedMutation(
  mutation: Mutation,
  policies: PolicySet,
  {
    proof: { engine, timeoutSeconds, cases },
    io,
  }: { readonly proof: MutationProof; readonly io: Pick<CommandIo, 'err' | 'environment'> },
): Promise<ProvedMutation | Problem> {
  const programs = await programsFor(engine, io);
  if (isProblem(programs)) return programs;
  const prover = await Prover.open(programs, policies.schema, { timeoutSeconds, within: io.environment['TMPDIR'] });
  try {
    const onProgress = (done: number, all: number): void =>
      io.err(`remit policy test: ${done} of ${all} surviving mutants judged by the solver`);
    const verdicts = await judgedMutants(policies, mutation.survivors, prover, { atOnce: 2, onProgress });
    const judged = mutation.survivors.map((survivor, index) => ({ survivor, verdict: verdicts[index] }));
    const survivors = judged.flatMap(({ survivor, verdict }) =>
      verdict?.kind === 'equivalent'
        ? []
        : [
            {
              ...survivor,
              case: verdict?.kind === 'distinguished' ? verdict.test : null,
              tried: verdict?.kind === 'undecided' ? verdict.tried : [],
            },
          ],
    );
    const unwritten = await casesWritten(
      survivors.flatMap((survivor) => survivor.case ?? []),
      cases,
    );
    if (unwritten !== null) return unwritten;
    const equivalent = judged.flatMap(({ survivor, verdict }) => (verdict?.kind === 'equivalent' ? [survivor] : []));
    return { ...mutation, survivors, equivalent };
  } finally {
    await prover.close();
  }
}

import { spawn } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AnalysisPrograms } from './programs.ts';
import { questionFolder } from './question-folder.ts';
import type { QuestionFolder } from './question-folder.ts';

/** What is asked of one or two policy sets: whether it holds for every request and every entity that the schema allows. */
export type Property =
  /** Whatever the first set allows, the second allows. */
  | 'implies'
  | 'always-denies'
  /** Of one policy: it never fails while it is evaluated. */
  | 'never-errors'
  /** Of one policy. */
  | 'never-matches'
  /** Of two policies: whenever the first matches, the second matches. */
  | 'matches-implies';

/** A question for the solver about one action. */
export interface SolverQuestion {
  readonly property: Property;
  /** Its id, such as `payments.create`. */
  readonly action: string;
  readonly resourceType: string;
  /** One or two sets, or policies, as Cedar text. */
  readonly policies: readonly string[];
}

/** The solver's answer; an example is text as Cedar's command prints it. */
export type SolverAnswer =
  | { readonly kind: 'holds' }
  | { readonly kind: 'fails'; readonly example: string }
  | { readonly kind: 'undecided'; readonly why: string };

/** Bounds of one question. */
export interface ProverBounds {
  readonly timeoutSeconds: number;
  readonly maxMemoryMiB: number;
}

/** Default bounds of one question. */
export const DEFAULT_BOUNDS: ProverBounds = { timeoutSeconds: 60, maxMemoryMiB: 4096 };

/** Most bytes of an output; a longer output counts as empty. */
const MAX_OUTPUT_BYTES = 8 * 1024 * 1024;

/** The options for the files of a property's policies. */
const FILES: Readonly<Record<Property, readonly string[]>> = {
  implies: ['--policies1', '--policies2'],
  'always-denies': ['--policies'],
  'never-errors': ['--policies'],
  'never-matches': ['--policies'],
  'matches-implies': ['--policy1', '--policy2'],
};

/**
 * Asks Cedar's symbolic compiler and its solver, each question in processes of its own, which are ended at the bounds: then the answer is
 * `undecided`, and so is every output that is not known. Only output that says so in words is `holds`. Texts lie in a
 * temporary folder, which `close` deletes; `open` deletes what processes left that were killed.
 */
export class Prover {
  readonly #programs: AnalysisPrograms;
  readonly #bounds: ProverBounds;
  readonly #folder: QuestionFolder;
  readonly #schemaFile: string;
  readonly #ended = new AbortController();
  #asked = 0;

  private constructor(programs: AnalysisPrograms, bounds: ProverBounds, folder: QuestionFolder) {
    this.#programs = programs;
    this.#bounds = bounds;
    this.#folder = folder;
    this.#schemaFile = join(folder.path, 'schema.cedarschema');
  }

  /**
   * @param schema in Cedar's text format
   * @param options bounds, and the folder in which the temporary folder is made
   */
  static async open(
    programs: AnalysisPrograms,
    schema: string,
    { within = tmpdir(), ...bounds }: Partial<ProverBounds> & { readonly within?: string | undefined } = {},
  ): Promise<Prover> {
    const prover = new Prover(programs, { ...DEFAULT_BOUNDS, ...bounds }, await questionFolder(within));
    await writeFile(prover.#schemaFile, schema);
    return prover;
  }

  /** Number of questions so far. */
  get asked(): number {
    return this.#asked;
  }

  /** Rejects only on errors of the temporary folder. */
  async ask({ property, action, resourceType, policies }: SolverQuestion): Promise<SolverAnswer> {
    this.#asked += 1;
    const files = policies.map((_text, index) => join(this.#folder.path, `${this.#asked}-${index}.cedar`));
    await Promise.all(files.map((file, index) => writeFile(file, policies[index] ?? '')));
    const named = FILES[property].flatMap((option, index) => [option, files[index] ?? '']);
    const words = ['symcc', '--cvc5-path', this.#programs.cvc5, '--schema', this.#schemaFile].concat(
      ['--principal-type', 'Remit::Agent', '--action', actionText(action), '--resource-type', resourceType],
      ['--counterexample', property, ...named],
    );
    const answer = await this.#run(words);
    await Promise.all(files.map((file) => rm(file, { force: true })));
    return answer;
  }

  /** Ends what runs, and deletes the folder. */
  async close(): Promise<void> {
    this.#ended.abort();
    await this.#folder.remove();
  }

  #run(words: readonly string[]): Promise<SolverAnswer> {
    const { programs, bounds } = { programs: this.#programs, bounds: this.#bounds };
    const { timeoutSeconds, maxMemoryMiB } = bounds;
    // `timeout` ends its whole group, and so the solver that Cedar started.
    const bounded = ['--signal=KILL', String(timeoutSeconds), programs.prlimit].concat(
      [`--as=${maxMemoryMiB * 1024 * 1024}`, '--core=0', '--', programs.cedar],
      words,
    );
    return new Promise((resolve) => {
      const child = spawn(programs.timeout, bounded, {
        cwd: this.#folder.path,
        env: { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C.UTF-8' },
        stdio: ['ignore', 'pipe', 'pipe'],
        signal: this.#ended.signal,
      });
      const [out, err] = [collected(child.stdout), collected(child.stderr)];
      child.once('error', (error) => resolve({ kind: 'undecided', why: `could not be asked: ${error.message}` }));
      child.once('close', (code) => resolve(answerFrom(code, { out: out(), err: err(), timeoutSeconds })));
    });
  }
}

const actionText = (action: string): string => `Remit::Action::${JSON.stringify(action)}`;

/** The text of a stream so far, without what is beyond the bound. */
function collected(stream: NodeJS.ReadableStream): () => string {
  const parts: Buffer[] = [];
  let bytes = 0;
  stream.on('data', (part: Buffer) => {
    bytes += part.length;
    if (bytes <= MAX_OUTPUT_BYTES) parts.push(part);
  });
  return () => (bytes > MAX_OUTPUT_BYTES ? '' : Buffer.concat(parts).toString('utf8'));
}

const EXAMPLE = '  Counterexample found:\n';
/** Lines that every failure has, left out of its reason. */
const GENERIC = /^(?:Error:|Analysis failed|Failed to compile|Verification failed|input policy \(set\) is not)/;
/** Of `timeout`, if it killed its group. */
const KILLED = 137;

function answerFrom(
  code: number | null,
  { out, err, timeoutSeconds }: { readonly out: string; readonly err: string; readonly timeoutSeconds: number },
): SolverAnswer {
  if (code === KILLED || code === null)
    return { kind: 'undecided', why: `no answer within ${timeoutSeconds} s or the bound of memory` };
  const [verdict = ''] = out.split('\n');
  if (code === 0 && /^✓ [^:]+: VERIFIED$/.test(verdict)) return { kind: 'holds' };
  const at = out.indexOf(EXAMPLE);
  if (code === 0 && /^✗ [^:]+: DOES NOT HOLD$/.test(verdict) && at !== -1)
    return { kind: 'fails', example: out.slice(at + EXAMPLE.length).trimEnd() };
  const said = err
    .split('\n')
    .map((line) => line.replace(/^[\s│╰├─▶×]{0,16}/u, '').trim())
    .filter((line) => line !== '' && !GENERIC.test(line));
  return { kind: 'undecided', why: said.slice(0, 4).join('; ').slice(0, 400) || `\`cedar\` ended with ${code}` };
}

/** Runs a `remit` command to its end, and keeps what it printed. */
import { spawn } from 'node:child_process';

/** A command that ran to its end. */
export interface RanCommand {
  /** Its words, as a person types them. */
  readonly typed: string;
  readonly code: number;
  readonly out: readonly string[];
  readonly err: readonly string[];
}

/** How to run `remit`. */
export interface RemitCommand {
  /** Program and first arguments that run `remit`. */
  readonly command: readonly string[];
  /** The folder it runs in. */
  readonly folder: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}

const MAX_OUTPUT = 1_048_576;

/** Runs a `remit` command to its end. Its output is kept up to 1 MiB. Rejects if it cannot be started or is interrupted. */
export function ranRemit(
  words: readonly string[],
  { command, folder, environment, signal }: RemitCommand,
): Promise<RanCommand> {
  const [program = '', ...first] = command;
  const child = spawn(program, [...first, ...words], {
    cwd: folder,
    env: { ...environment },
    signal,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const written = { out: '', err: '' };
  const keep = (stream: 'out' | 'err') => (chunk: Buffer) => {
    if (written[stream].length < MAX_OUTPUT) written[stream] += String(chunk);
  };
  child.stdout.on('data', keep('out'));
  child.stderr.on('data', keep('err'));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) =>
      resolve({
        typed: `remit ${words.join(' ')}`,
        code: code ?? 1,
        out: linesOf(written.out),
        err: linesOf(written.err),
      }),
    );
  });
}

const linesOf = (text: string): readonly string[] => (text.trim() === '' ? [] : text.trimEnd().split('\n'));

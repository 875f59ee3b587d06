/** Reads the options of commands that ask the solver, and writes the file of `--cases`. */
import { access, constants, lstat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Problem } from '../../core/runtime/problem.ts';
import type { ExampleCase } from '../../tools/policy/analyze/example-case.ts';
import { analysisPrograms } from '../../tools/policy/analyze/programs.ts';
import type { AnalysisPrograms } from '../../tools/policy/analyze/programs.ts';
import { DEFAULT_BOUNDS } from '../../tools/policy/analyze/prover.ts';
import type { CommandIo } from '../command.ts';
import { cacheFolderOf } from '../dev/domain.ts';

/** The programs of an analysis for a command: in the folder of `--engine`, or where they are by default. */
export const programsFor = (
  engine: string | undefined,
  io: Pick<CommandIo, 'environment'>,
): Promise<AnalysisPrograms | Problem> =>
  analysisPrograms({
    folder: engine ?? null,
    cacheFolder: cacheFolderOf(io),
    path: io.environment['PATH'] ?? '',
  });

/** Seconds for one question, as `--timeout` gives them: 1 to 3600; by default those of `DEFAULT_BOUNDS`. */
export const timeoutFrom = (word = String(DEFAULT_BOUNDS.timeoutSeconds)): number | Problem =>
  /^[1-9]\d{0,3}$/.test(word) && Number(word) <= 3600
    ? Number(word)
    : { problem: '`--timeout` must be a whole number of seconds from 1 to 3600' };

/** Why the file of `--cases` cannot be written, checked before the solver starts; `null` if it can, or if none is named. */
export async function casesProblem(file: string | undefined): Promise<Problem | null> {
  if (file === undefined) return null;
  if (!file.endsWith('.cedartests.json'))
    return { problem: '`--cases` must end in `.cedartests.json`, so that `remit policy test` reads it' };
  const isThere = await lstat(file).then(
    () => true,
    () => false,
  );
  if (isThere) return unwritable(file, 'EEXIST');
  const barred = await access(dirname(file), constants.W_OK).catch((error: NodeJS.ErrnoException) => error);
  return barred === undefined ? null : unwritable(file, barred.code);
}

/** Writes counter-examples as tests to a new file; a problem if it cannot be written, `null` otherwise, and if no file is named. */
export async function casesWritten(tests: readonly ExampleCase[], file: string | undefined): Promise<Problem | null> {
  if (file === undefined) return null;
  const text = `${JSON.stringify(tests, null, 2)}\n`;
  const unwritten = await writeFile(file, text, { flag: 'wx' }).catch((error: NodeJS.ErrnoException) => error);
  return unwritten === undefined ? null : unwritable(file, unwritten.code);
}

const unwritable = (file: string, code: string | undefined): Problem => ({
  problem:
    code === 'EEXIST'
      ? `\`${file}\` exists: nothing is overwritten, name another file`
      : `cannot write \`${file}\`: ${code}`,
});

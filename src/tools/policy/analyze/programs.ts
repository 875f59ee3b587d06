import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import type { Problem } from '../../../core/runtime/problem.ts';

/** The `cedar` command whose symbolic analysis is used, and the solver. */
export const ANALYSIS_VERSIONS = { cedar: '4.14.1', cvc5: '1.4.2' } as const;

/** The folder of both in a cache folder, whether they are there or not. */
export const analysisFolderIn = (cacheFolder: string): string =>
  join(cacheFolder, `analysis-${ANALYSIS_VERSIONS.cedar}-${ANALYSIS_VERSIONS.cvc5}`);

/** The programs that an analysis starts, by their paths. */
export interface AnalysisPrograms {
  /** Cedar's command, built with the feature `analyze`. */
  readonly cedar: string;
  readonly cvc5: string;
  /** What bounds them in memory and in time: of util-linux, and of coreutils. */
  readonly prlimit: string;
  readonly timeout: string;
}

/** Where the programs are looked for. */
export interface ProgramSearch {
  /** A folder that the user named; `null` for the cache folder and the path. */
  readonly folder: string | null;
  readonly cacheFolder: string;
  /** The value of `PATH`. */
  readonly path: string;
}

const HOW =
  'in a clone of Remit, `npm run parts -- analysis` builds and installs both (it takes Rust and Python 3 with pip); or name a folder that has `cedar`, built with its feature `analyze`, and `cvc5` with `--engine`';

/** Finds the programs: `cedar` and `cvc5` of one folder, and the bounds on the path. A problem says how to have what is missing. */
export async function analysisPrograms({
  folder,
  cacheFolder,
  path,
}: ProgramSearch): Promise<AnalysisPrograms | Problem> {
  const folders = path.split(delimiter).filter((one) => one !== '');
  const own = folder === null ? [analysisFolderIn(cacheFolder), ...folders] : [folder];
  const both = await firstWith(own, ['cedar', 'cvc5']);
  if (both === null) return { problem: `\`cedar\` with symbolic analysis and the solver \`cvc5\` are missing: ${HOW}` };
  const bounds = await Promise.all(['prlimit', 'timeout'].map((name) => firstWith(folders, [name])));
  const [prlimit, timeout] = bounds;
  if (prlimit === null || prlimit === undefined || timeout === null || timeout === undefined)
    return {
      problem: 'the programs are run in bounds by `prlimit` of util-linux and `timeout` of coreutils: install them',
    };
  return {
    cedar: join(both, 'cedar'),
    cvc5: join(both, 'cvc5'),
    prlimit: join(prlimit, 'prlimit'),
    timeout: join(timeout, 'timeout'),
  };
}

/** The first folder that has all of these programs, as an absolute path: they are started in another folder. */
async function firstWith(folders: readonly string[], names: readonly string[]): Promise<string | null> {
  for (const folder of folders) {
    const found = await Promise.all(names.map((name) => isProgram(join(folder, name))));
    if (found.every(Boolean)) return resolve(folder);
  }
  return null;
}

const isProgram = (path: string): Promise<boolean> =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  );

/** What the programs say their versions are, at most 100 characters each; `unknown` for a program that does not say it within 10 s. */
export async function programVersions({
  cedar,
  cvc5,
}: Pick<AnalysisPrograms, 'cedar' | 'cvc5'>): Promise<{ readonly cedar: string; readonly cvc5: string }> {
  const [one = 'unknown', other = 'unknown'] = await Promise.all([cedar, cvc5].map(versionFrom));
  return { cedar: one, cvc5: other };
}

const versionFrom = (program: string): Promise<string> =>
  new Promise((resolve) => {
    const bounds = { timeout: 10_000, maxBuffer: 65_536, encoding: 'utf8' } as const;
    execFile(program, ['--version'], bounds, (error, out) => {
      const version = /\d{1,6}\.\d{1,6}\.\d{1,6}[\w.+-]{0,40}/.exec(out.slice(0, 1_000))?.[0];
      resolve(error === null && version !== undefined ? version : 'unknown');
    });
  });

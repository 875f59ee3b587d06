import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { configFrom } from '../../core/config/config.ts';
import { loadPolicies, policySetFrom } from '../../core/policy/loading/load.ts';
import type { PolicySet } from '../../core/policy/loading/load.ts';
import { signedBundleAt } from './bundle-file.ts';
import { EXIT } from '../command.ts';
import type { CommandIo } from '../command.ts';
import { DEFAULT_CONFIG, isCommandRefusal, taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';

/** The policy set at a path: a folder, or a signed bundle verified with a JWK Set, whose expiry is not checked. */
export async function policySetAt(path: string, keysFile: string | undefined): Promise<PolicySet | CommandRefusal> {
  const about = await stat(path).catch((error: NodeJS.ErrnoException) => error);
  if ('message' in about) return taskRefusal(`\`${path}\` could not be read: ${about.code ?? 'unknown error'}`);
  if (about.isDirectory()) return loadedOr(await loadPolicies(path));
  if (keysFile === undefined) return taskRefusal(`\`${path}\` is not a folder: a signed bundle needs \`--keys\``);
  const bundle = await signedBundleAt(path, keysFile);
  return isCommandRefusal(bundle) ? { ...bundle, exit: EXIT.bad } : loadedOr(await policySetFrom(bundle.source));
}

/** The policy sets at paths, loaded at the same time, or the refusal of the first that cannot be loaded. */
export async function policySetsAt(
  paths: readonly string[],
  keysFile: string | undefined,
): Promise<readonly PolicySet[] | CommandRefusal> {
  const loaded = await Promise.all(paths.map((path) => policySetAt(path, keysFile)));
  const refusal = loaded.find((one) => isCommandRefusal(one));
  return refusal ?? loaded.flatMap((one) => (isCommandRefusal(one) ? [] : [one]));
}

function loadedOr(set: Awaited<ReturnType<typeof loadPolicies>>): PolicySet | CommandRefusal {
  if (!('findings' in set)) return set;
  return taskRefusal(
    set.findings.map(({ file, line, column, message }) => `${file}:${line}:${column}: ${message}`).join('\n'),
  );
}

/** The policy folder of a configuration; `null` if that has a bundle, cannot be read or is invalid, and with `state`. */
export async function configuredFolder(
  { config, state }: { readonly config?: string | undefined; readonly state?: string | undefined },
  { environment }: Pick<CommandIo, 'environment'>,
): Promise<string | null> {
  if (state !== undefined) return null;
  const file = resolve(config ?? DEFAULT_CONFIG);
  const text = await readFile(file, 'utf8').catch(() => null);
  const read = text === null ? null : configFrom(text, { file, folder: dirname(file), environment });
  if (read === null || 'problems' in read) return null;
  return read.value.policies.bundle === null ? read.value.policies.folder : null;
}

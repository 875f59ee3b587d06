import type { Config } from '../../core/config/config.ts';
import { isStoreFailure } from '../../core/runtime/store-failure.ts';
import { pendingVersion } from '../../authority/state/sqlite/migration.ts';
import { stateFormat } from '../../authority/state/sqlite/schema.ts';
import type { RemitOptions } from '../remit-options.ts';
import { isStartProblem } from '../start-problem.ts';
import type { StartProblem } from '../start-problem.ts';
import type { Waits } from '../waits.ts';

/**
 * Why a state file of an earlier release must not be migrated: the start would fail afterwards, and the previous release could no longer read
 * the file. `null` if the start may go on, or nothing is to be migrated. Waits until the rest of the start would not wait.
 */
export async function beforeMigration(
  { state }: Pick<Config, 'state'>,
  { rehearse, waits }: { readonly rehearse: RemitOptions['rehearse']; readonly waits: Waits },
): Promise<StartProblem | null> {
  if (rehearse === undefined || state.kind !== 'sqlite') return null;
  const from = pendingVersion(state.path, stateFormat);
  // A file that cannot be read is refused when it is opened.
  if (from === null || isStoreFailure(from)) return null;
  const kept = `the state file \`${state.path}\` stays at schema version ${from}`;
  const rehearsed = await waits.until(async (): Promise<null | StartProblem> => {
    const { problems, waits: missing, isTampered } = await rehearse();
    const problem = [...problems, `${kept}: the start would not succeed`].join('\n');
    if (problems.length > 0) return { problem, isTampered };
    return missing.length === 0 ? null : { problem: `${missing.join('; ')}; ${kept} until then`, mayPass: true };
  });
  return isStartProblem(rehearsed) ? rehearsed : null;
}

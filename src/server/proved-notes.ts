import { join } from 'node:path';
import { remitVersion } from '../config/version.ts';
import { keptPoliciesFolder } from '../ledger/log/kept-policies.ts';
import { cedarVersion } from '../policy/cedar.ts';
import type { PolicySet } from '../policy/loading/load.ts';
import { provedNoteIn } from '../policy/loading/proved-note.ts';
import type { ProvedNote } from '../policy/loading/proved-note.ts';
import type { Findings } from '../policy/loading/proved-set.ts';
import type { LoadPolicySet } from '../policy/policy-in-force.ts';
import type { Log } from '../telemetry/log.ts';

/** The notes of a process on what it proved, beside the texts of its policy sets. All `null` where no note is used. */
export interface ProvedNotes {
  readonly policies: ProvedNote | null;
  readonly candidate: ProvedNote | null;
}

/**
 * Their names begin with a dot, so that a backup does not take them: what was proved on one host is no proof on another.
 *
 * @param runtimeVersion the version of Node.js; without it no note is used
 */
export function provedNotesIn(ledgerFolder: string, runtimeVersion: string | undefined): ProvedNotes {
  const cedar = cedarVersion();
  if (runtimeVersion === undefined || cedar === null) return { policies: null, candidate: null };
  const program = { remit: remitVersion(), cedar, node: runtimeVersion };
  const note = (name: string): ProvedNote => provedNoteIn(join(keptPoliciesFolder(ledgerFolder), name), program);
  return { policies: note('.proved-policies'), candidate: note('.proved-candidate') };
}

/** Wraps a load to note each set that was proved. No load waits for the note. */
export function notedLoad(
  load: LoadPolicySet,
  { note, log }: { readonly note: ProvedNote | null; readonly log: Log },
): LoadPolicySet {
  if (note === null) return load;
  let noted: string | null = null;
  const write = async (set: PolicySet): Promise<void> => {
    const unwritten = await note.write(set);
    if (unwritten !== null)
      log(`policies: the note \`${note.file}\` of the proved set could not be written: ${unwritten.problem}`);
  };
  return async () => {
    const loaded = await load();
    if ('findings' in loaded || loaded.lateProof !== null || loaded.hash === noted) return loaded;
    noted = loaded.hash;
    void write(loaded);
    return loaded;
  };
}

/** Deletes the note of a set whose proof failed, and says in a line that the set was withdrawn. */
export async function tellWithdrawn(
  { hash }: Pick<PolicySet, 'hash'>,
  { findings: [first, ...more] }: Findings,
  {
    note,
    tell,
    effect,
  }: { readonly note: ProvedNote | null; readonly tell: (line: string) => void; readonly effect: string },
): Promise<void> {
  const kept = (await note?.remove()) ?? null;
  const found = first === undefined ? '' : `${first.file}:${first.line}:${first.column}: ${first.message}`;
  const others = more.length === 0 ? '' : ` (and ${more.length} more)`;
  const end = kept === null ? 'is deleted' : `could not be deleted (${kept.problem}): delete it`;
  tell(
    `set ${hash} is withdrawn and ${effect}: the note \`${note?.file}\` says that it was proved, but its proof failed: ${found}${others}; it is proved again now, before any use; the note ${end}`,
  );
}

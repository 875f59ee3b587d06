import type { KeptText } from '../../core/ledger/log/kept-policies.ts';
import type { LedgerRecord, PolicyOrigin } from '../../core/ledger/record.ts';
import { recordText } from '../../core/ledger/record.ts';
import type { LedgerWriter } from '../../core/ledger/writer.ts';
import type { LoadPolicySet } from '../../core/policy/policy-in-force.ts';
import type { PolicySet } from '../../core/policy/loading/load.ts';
import type { Ports } from '../../core/runtime/ports.ts';
import type { After } from '../../core/runtime/timers.ts';
import type { Closers } from '../closers.ts';

/** Dependencies of a recorded load. */
interface Recording {
  readonly ledger: Pick<LedgerWriter, 'append' | 'flush'>;
  readonly ports: Pick<Ports, 'nowMs'>;
  readonly after: After;
  readonly closers: Pick<Closers, 'push'>;
  /** The account on this machine under which the process runs. */
  readonly by: string;
  /** Keeps the text of a set beside the ledger. Never rejects. */
  readonly keepText: (set: Pick<PolicySet, 'hash' | 'source'>) => Promise<KeptText>;
  /** Deletes texts of older sets. Never rejects. */
  readonly forgetTexts: (hashes: readonly string[]) => Promise<void>;
}

/** The record of a set that the ledger has not taken yet, with the texts to delete after it. */
interface Unrecorded {
  readonly record: LedgerRecord;
  readonly beyond: readonly string[];
}

/** Pause before the ledger is given again what it refused. */
const RETRY_MS = 1_000;
/** Most sets that wait to be recorded. The oldest is given up first: it was replaced while the ledger took nothing, so it allowed no call. */
const MAX_UNRECORDED = 64;

/**
 * Wraps a load of policies to record each set that differs from the previous set, and to keep its text. So the policies behind each decision
 * have a date, an origin and a text. A set whose text cannot be kept still comes into force; this is noted in the record. A record that the
 * ledger refuses (it fails, or its queue is full) is given to it again until it takes it.
 */
export function recordedLoad(
  load: LoadPolicySet,
  { ledger, ports, after, closers, by, keepText, forgetTexts }: Recording,
): LoadPolicySet {
  // INVARIANT: a text is deleted only once a record of the deletion is on disk. So if no record names a missing text,
  // somebody else has deleted it.
  const forget = async (hashes: readonly string[]): Promise<void> => {
    if ((await ledger.flush()) === null) await forgetTexts(hashes);
  };
  let unrecorded: readonly Unrecorded[] = [];
  let cancel: (() => void) | null = null;
  closers.push(() => cancel?.());
  const recordAll = (): void => {
    cancel?.();
    unrecorded = unrecorded.filter(({ record, beyond }) => {
      const isRecorded = ledger.append(record);
      if (isRecorded && beyond.length > 0) void forget(beyond);
      return !isRecorded;
    });
    if (unrecorded.length > 0) cancel = after(RETRY_MS, recordAll);
  };
  let inForce: string | null = null;
  return async () => {
    const loaded = await load();
    if ('findings' in loaded || loaded.hash === inForce) return loaded;
    const { isKept, beyond, missing = [] } = await keepText(loaded);
    inForce = loaded.hash;
    const record: LedgerRecord = {
      kind: 'policy',
      at: ports.nowMs(),
      task: null,
      policySet: loaded.hash,
      policies: loaded.policyCount,
      actions: loaded.catalog.actions.size,
      origin: originOf(loaded),
      by,
      isTextKept: isKept,
      textsGivenUp: beyond,
      ...(missing.length > 0 && { textsMissing: missing }),
    };
    unrecorded = [...unrecorded, { record, beyond }].slice(-MAX_UNRECORDED);
    recordAll();
    return loaded;
  };
}

function originOf({ bundle, source: { folder } }: Pick<PolicySet, 'bundle' | 'source'>): PolicyOrigin {
  if (bundle === null) return { kind: 'folder', folder: recordText(folder) };
  const { signers, name, version, serial, issuedAtMs } = bundle;
  return {
    kind: 'bundle',
    from: recordText(folder),
    name: recordText(name),
    signers: signers.map(recordText),
    version: recordText(version),
    serial,
    issuedAt: issuedAtMs,
  };
}

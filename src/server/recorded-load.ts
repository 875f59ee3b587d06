import type { LedgerRecord, PolicyOrigin } from '../ledger/record.ts';
import { recordText } from '../ledger/record.ts';
import type { LoadPolicySet } from '../policy/policy-in-force.ts';
import type { PolicySet } from '../policy/loading/load.ts';
import type { Ports } from '../runtime/ports.ts';

/** What a load is recorded with. */
interface Recording {
  readonly ledger: { append(record: LedgerRecord): boolean };
  readonly ports: Pick<Ports, 'nowMs'>;
  /** The account of the machine this process runs as. */
  readonly by: string;
  /** Keeps the text of a set beside the ledger; whether it is there. Never rejects. */
  readonly keepText: (set: Pick<PolicySet, 'hash' | 'source'>) => Promise<boolean>;
}

/**
 * A load of policies that records each set which is not the one before, and keeps its text: by which policies a use was decided
 * has a date, an origin and a wording. A text that cannot be kept keeps no set from coming into force; the record says so.
 */
export function recordedLoad(load: LoadPolicySet, { ledger, ports, by, keepText }: Recording): LoadPolicySet {
  let inForce: string | null = null;
  return async () => {
    const loaded = await load();
    if ('findings' in loaded || loaded.hash === inForce) return loaded;
    const isTextKept = await keepText(loaded);
    inForce = loaded.hash;
    ledger.append({
      kind: 'policy',
      at: ports.nowMs(),
      task: null,
      policySet: loaded.hash,
      policies: loaded.policyCount,
      actions: loaded.catalog.actions.size,
      origin: originOf(loaded),
      by,
      isTextKept,
    });
    return loaded;
  };
}

function originOf({ bundle, source: { folder } }: Pick<PolicySet, 'bundle' | 'source'>): PolicyOrigin {
  if (bundle === null) return { kind: 'folder', folder: recordText(folder) };
  const { keyId, version, serial, issuedAtMs } = bundle;
  return {
    kind: 'bundle',
    from: recordText(folder),
    keyId: keyId === null ? null : recordText(keyId),
    version: recordText(version),
    serial,
    issuedAt: issuedAtMs,
  };
}

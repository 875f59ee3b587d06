import type { LedgerRecord, PolicyOrigin } from '../ledger/record.ts';
import { recordText } from '../ledger/record.ts';
import type { LoadPolicySet } from '../policy/policy-in-force.ts';
import type { PolicySet } from '../policy/loading/load.ts';
import type { Ports } from '../runtime/ports.ts';

/** Dependencies of a recorded load. */
interface Recording {
  readonly ledger: { append(record: LedgerRecord): boolean };
  readonly ports: Pick<Ports, 'nowMs'>;
  /** The account on this machine under which the process runs. */
  readonly by: string;
  /** Keeps the text of a set beside the ledger. Gives whether it is there. Never rejects. */
  readonly keepText: (set: Pick<PolicySet, 'hash' | 'source'>) => Promise<boolean>;
}

/**
 * Wraps a load of policies to record each set that differs from the one before, and to keep its text. So the policies behind each decision
 * have a date, an origin and a text. A set whose text cannot be kept still comes into force; the record says so.
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

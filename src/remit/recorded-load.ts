import type { LedgerRecord } from '../ledger/record.ts';
import type { LoadPolicySet } from '../policy/current.ts';
import type { Ports } from '../ports.ts';

/** What a load is recorded with. */
interface Recording {
  readonly ledger: { append(record: LedgerRecord): boolean };
  readonly ports: Pick<Ports, 'nowMs'>;
}

/** A load of policies that records each set which is not the one before: by which policies a use was decided has a date. */
export function recordedLoad(load: LoadPolicySet, { ledger, ports }: Recording): LoadPolicySet {
  let inForce: string | null = null;
  return async () => {
    const loaded = await load();
    if ('findings' in loaded || loaded.hash === inForce) return loaded;
    inForce = loaded.hash;
    ledger.append({
      kind: 'policy',
      at: ports.nowMs(),
      task: null,
      policySet: loaded.hash,
      policies: loaded.policyCount,
      actions: loaded.catalog.actions.size,
    });
    return loaded;
  };
}

/** The members of records that another version may have written. */
import type { JsonValue } from '../../core/ledger/canonical-json.ts';

/** The members of a record of any version. */
export type EvidenceMembers = { readonly [name: string]: JsonValue };

/** A text member; `null` if it has another type. */
export const fieldText = (record: EvidenceMembers, name: string): string | null => {
  const value = record[name];
  return typeof value === 'string' ? value : null;
};

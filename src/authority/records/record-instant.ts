/** The instants of received records, as their sidecars wrote them. */
import { isProblem } from '../../core/runtime/problem.ts';
import { leafFrom } from '../../core/ledger/proof/leaf.ts';
import type { Section } from './pack.ts';

/** When a record was made according to its sidecar, in milliseconds since the Unix epoch; `null` if it does not say it. */
export function instantOf(bytes: Uint8Array): number | null {
  const leaf = leafFrom(bytes);
  const at = isProblem(leaf) ? undefined : leaf.record['at'];
  return typeof at === 'number' ? at : null;
}

/** The first and the last record of a section: those by which the retention judges its age. */
export const endsOf = ({ leaves }: Pick<Section, 'leaves'>): readonly Uint8Array[] =>
  leaves.length === 0 ? [] : [...leaves.slice(0, 1), ...leaves.slice(-1)];

/** Whether an end of a section was made after an instant, according to its sidecar. */
export const isAfter = (section: Pick<Section, 'leaves'>, limitMs: number): boolean =>
  endsOf(section).some((bytes) => mayBeAfter(bytes, limitMs) && (instantOf(bytes) ?? 0) > limitMs);

const AT = '"at":';
/** More characters than an instant has. */
const MAX_DIGITS = 24;

/** Whether a record names a later instant anywhere. Nearly none does, and parsing each would cost more than receiving it. */
function mayBeAfter(bytes: Uint8Array, limitMs: number): boolean {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = text.indexOf(AT); at !== -1; at = text.indexOf(AT, at + AT.length)) {
    const begin = at + AT.length;
    if (Number.parseFloat(text.toString('latin1', begin, begin + MAX_DIGITS)) > limitMs) return true;
  }
  return false;
}

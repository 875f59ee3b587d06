/** Values in the forms that OSCAL requires. */
import { printable } from '../../core/ledger/timeline-text.ts';
import { withoutEnd } from '../../core/runtime/without-end.ts';

/** The namespace of our properties. */
export const OSCAL_NAMESPACE = 'https://remit.invalid/ns/oscal';

/** The UUID of a part of the report by its name: the same for the same report. */
export type IdOf = (name: string) => string;

/** A property in our namespace. */
export const prop = (name: string, value: string) => ({ name, ns: OSCAL_NAMESPACE, value: lineOf(value) });

/** A trimmed line, as OSCAL requires of strings; `-` if it is empty. */
export const lineOf = (text: string): string => printable(text).trim() || '-';

/** A name as an OSCAL token; a control of NIST SP 800-53 as in NIST's own catalog, such as `ac-6.9`. */
export function tokenOf(id: string): string {
  const nist = /^([A-Z]{2}-\d+)(?:\((\d+)\))?$/.exec(id);
  if (nist !== null) return `${nist[1]?.toLowerCase() ?? ''}${nist[2] === undefined ? '' : `.${nist[2]}`}`;
  const token = withoutEnd(id.replaceAll(/[^\p{L}\p{N}._-]+/gu, '-').replace(/^-+/, ''), '-');
  return /^[\p{L}_]/u.test(token) ? token : `_${token}`;
}

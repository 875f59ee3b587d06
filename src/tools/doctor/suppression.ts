import { nearestOf } from '../../core/runtime/nearest-name.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { codes } from './codes.ts';
import type { Finding } from './finding.ts';

/** Findings to leave out. */
export interface Suppression {
  readonly code: string;
  /** The place, in which `*` stands for any characters. */
  readonly where: string;
  /** As the operator wrote it. */
  readonly written: string;
}

/** Parses `CODE=where`, with `*` for any characters of `where`. */
export function suppressionFrom(written: string): Suppression | Problem {
  const split = written.indexOf('=');
  const code = split === -1 ? written : written.slice(0, split);
  const where = split === -1 ? '' : written.slice(split + 1);
  if (!codes.has(code)) {
    const near = nearestOf(code, [...codes.keys()]);
    return { problem: `\`${code}\` is not a finding code${near === null ? '' : `; did you mean \`${near}\`?`}` };
  }
  if (where === '') return { problem: `expected \`${code}=WHERE\`; \`${code}=*\` suppresses it everywhere` };
  return { code, where, written };
}

/** Whether a finding is of this code and at this place. */
export const isSuppressedBy = (finding: Finding, { code, where }: Suppression): boolean =>
  finding.code === code && matches(finding.where, where.split('*'));

/** Whether `text` consists of these pieces with anything between them. Takes linear time for any pieces. */
function matches(text: string, pieces: readonly string[]): boolean {
  const [first = '', ...rest] = pieces;
  const last = rest.pop();
  if (last === undefined) return text === first;
  if (!text.startsWith(first)) return false;
  let at = first.length;
  for (const piece of rest) {
    const found = text.indexOf(piece, at);
    if (found === -1) return false;
    at = found + piece.length;
  }
  return text.length - last.length >= at && text.endsWith(last);
}

/** Text of operators made fit for a header. */
import type { Answer } from '../../check/answer.ts';

/** Longest operator text or URL; longer texts are left out. */
export const MAX_TEXT_CHARS = 2_048;

/** Text that is safe in a header, or nothing: a truncated identifier would be another identifier. */
export const plain = (text: string | null): string | null =>
  text !== null && text.length <= MAX_TEXT_CHARS && /^[\x21-\x7e]+$/.test(text) ? text : null;

/** @see W3C Trace Context section 3.2.2.3 */
export const traceIdOf = ({ traceId }: Answer): string | null =>
  traceId !== null && /^[0-9a-f]{32}$/.test(traceId) ? traceId : null;

/** The ids of a decision as parameters of the structured field `x-remit-decision`. */
export const decisionIds = (answer: Answer): string => {
  const trace = traceIdOf(answer);
  return `;id="${answer.decisionId}"${trace === null ? '' : `;trace="${trace}"`}`;
};

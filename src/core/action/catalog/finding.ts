import type { TextPlace } from '../../runtime/text-place.ts';

/** An error in a file that an operator wrote, with its place. A set with findings is never loaded. */
export interface SourceFinding {
  /** Path as the operator gave it. */
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  /** 1-based, in code points. */
  readonly column: number;
  readonly message: string;
  /** How to fix it, if that is known. */
  readonly help: string | null;
  /** Just after the last affected character; absent if only the start is known. */
  readonly end?: TextPlace;
  /** Id of the affected policy; absent or `null` if there is none. */
  readonly policy?: string | null;
}

/** Findings sorted by file, line, column and message. */
export const inReadingOrder = <Some extends SourceFinding>(findings: readonly Some[]): readonly Some[] =>
  findings.toSorted(
    (a, b) =>
      inCodeUnits(a.file, b.file) || a.line - b.line || a.column - b.column || inCodeUnits(a.message, b.message),
  );

const inCodeUnits = (a: string, b: string): number => (a < b ? -1 : Number(a > b));

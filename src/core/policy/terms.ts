import type { SubjectAttributes } from '../task/subject-attributes.ts';
import type { CedarRecord, CedarValue } from './cedar-value.ts';
import { localTimes } from './local-time.ts';
import type { Terms } from './question.ts';

/** Facts for what a catalog adds to the context. */
export interface TermFacts {
  readonly nowMs: number;
  readonly subjectAttributes: SubjectAttributes;
}

/** What a catalog adds to the context; nothing for what it does not name, so that policies cannot read what the schema lacks. */
export const termParts = new Map<string, (terms: Terms, facts: TermFacts) => CedarValue | undefined>([
  ['time', ({ timeZones }, { nowMs }) => (timeZones.size === 0 ? undefined : localTimes(timeZones, nowMs))],
  [
    'subjectAttributes',
    ({ subjectAttributes: declared }, { subjectAttributes: known }) =>
      declared.size === 0
        ? undefined
        : Object.fromEntries(Object.entries(known).filter(([name]) => declared.has(name))),
  ],
]);

/** All that a catalog adds to the context. */
export const termsOf = (terms: Terms, facts: TermFacts): CedarRecord =>
  Object.fromEntries(
    Array.from(termParts).flatMap(([name, partOf]) => {
      const value = partOf(terms, facts);
      return value === undefined ? [] : [[name, value] as const];
    }),
  );

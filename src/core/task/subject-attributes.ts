import { isProblem, type Problem } from '../runtime/problem.ts';
import { bool, integer, listOf, type Reader, text } from '../runtime/fields.ts';

/** An attribute of the subject from its subject token, such as its groups; of the type that the catalog declares. */
export type SubjectAttribute = string | number | boolean | readonly string[];

/** Attributes by their catalog names. */
export type SubjectAttributes = Readonly<Record<string, SubjectAttribute>>;

/** The types of attributes, named like those of arguments. */
export const SUBJECT_ATTRIBUTE_TYPES = ['string', 'long', 'bool', 'strings'] as const;

/** One of `SUBJECT_ATTRIBUTE_TYPES`. */
export type SubjectAttributeType = (typeof SUBJECT_ATTRIBUTE_TYPES)[number];

/** The attributes of an unknown subject. */
export const noAttributes: SubjectAttributes = Object.freeze({});

/** Limits per subject: characters of a text, texts in a list, and characters of everything as JSON. */
export const subjectAttributeLimits = Object.freeze({ maxCharacters: 256, maxTexts: 256, maxJsonCharacters: 8_192 });

const { maxCharacters, maxJsonCharacters, maxTexts } = subjectAttributeLimits;
const words = text({ min: 0, max: maxCharacters });

const readers: Readonly<Record<SubjectAttributeType, Reader<SubjectAttribute>>> = {
  string: words,
  long: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  bool,
  strings: listOf(words, { min: 0, max: maxTexts }),
};

/**
 * Parses attributes by their declared types. Absent and `null` values are left out. A value of another type or beyond the
 * limits is a problem rather than absent, because a policy may forbid by it. Lists are sorted and deduplicated.
 *
 * @param valueOf what was sent for a name
 */
export function subjectAttributesFrom(
  declared: ReadonlyMap<string, SubjectAttributeType>,
  valueOf: (name: string) => unknown,
): { readonly attributes: SubjectAttributes } | (Problem & { readonly name: string }) {
  const read: [string, SubjectAttribute][] = [];
  for (const [name, type] of declared) {
    const sent = valueOf(name);
    if (sent === undefined || sent === null) continue;
    const value = readers[type](sent);
    if (isProblem(value)) return { ...value, name };
    read.push([name, typeof value === 'object' ? [...new Set(value)].toSorted() : value]);
    if (JSON.stringify(read).length > maxJsonCharacters)
      return { problem: `makes the attributes of the subject longer than ${maxJsonCharacters} characters`, name };
  }
  return { attributes: read.length === 0 ? noAttributes : Object.fromEntries(read) };
}

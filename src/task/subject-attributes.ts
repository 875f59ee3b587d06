import { integer, isProblem, listOf, type Problem, type Reader, text } from '../token/members.ts';

/** What the issuer of a subject token says of the subject, such as its groups: of the type that the catalog declares for the name. */
export type SubjectAttribute = string | number | boolean | readonly string[];

/** By the names of the catalog. */
export type SubjectAttributes = Readonly<Record<string, SubjectAttribute>>;

/** The types that such an attribute can have, named as those of arguments are. */
export const SUBJECT_ATTRIBUTE_TYPES = ['string', 'long', 'bool', 'strings'] as const;

/** One of `SUBJECT_ATTRIBUTE_TYPES`. */
export type SubjectAttributeType = (typeof SUBJECT_ATTRIBUTE_TYPES)[number];

/** Of nobody anything is known. */
export const noAttributes: SubjectAttributes = Object.freeze({});

/** Bounds of what is kept of one subject: a text and the texts of a list in characters, and all of it as JSON. */
export const subjectAttributeLimits = Object.freeze({ maxCharacters: 256, maxTexts: 256, maxJsonCharacters: 8_192 });

const { maxCharacters, maxJsonCharacters, maxTexts } = subjectAttributeLimits;
const words = text({ min: 0, max: maxCharacters });

const readers: Readonly<Record<SubjectAttributeType, Reader<SubjectAttribute>>> = {
  string: words,
  long: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  bool: (value) => (typeof value === 'boolean' ? value : { problem: 'must be `true` or `false`' }),
  strings: listOf(words, { min: 0, max: maxTexts }),
};

/**
 * Attributes from outside, each by the type that is declared for it. What is absent or `null` is left out; a value of another type, or
 * beyond the bounds, is a problem and never an absent one, since a policy may forbid by it. Texts of a list are sorted, each once.
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
      return { problem: `makes what is kept of the subject longer than ${maxJsonCharacters} characters`, name };
  }
  return { attributes: read.length === 0 ? noAttributes : Object.fromEntries(read) };
}

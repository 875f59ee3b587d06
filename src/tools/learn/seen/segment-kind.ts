/** What a segment of a path is, by its text alone. */
export type SegmentKind = 'integer' | 'digits' | 'uuid' | 'upper-uuid' | 'date' | 'hex' | 'word' | 'other';

/** A kind that a parameter can have: `slug` for words with many values, `unknown` for what a person must decide. */
export type ParameterKind = Exclude<SegmentKind, 'word' | 'other'> | 'slug' | 'unknown';

const INTEGER = /^(?:0|[1-9][0-9]{0,14})$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const DATE = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/;
const HEX = /^(?=[0-9]*[a-f])(?=[a-f]*[0-9])[0-9a-f]{8,64}$/;
const SLUG = /^[a-z0-9]+(?:[_-]+[a-z0-9]+)*$/;
/** Characters that a template can have as text. */
const LITERAL = /^[A-Za-z0-9\-._~!$&'()*+,=:@]+$/;
const MAX_WORD = 64;

/** The kind of a segment. Everything that a template cannot have as text, or that is longer than 64 characters, is `other`. */
export function segmentKindOf(segment: string): SegmentKind {
  if (INTEGER.test(segment)) return 'integer';
  if (UUID.test(segment)) return 'uuid';
  if (UUID.test(segment.toLowerCase()) && segment === segment.toUpperCase()) return 'upper-uuid';
  if (DATE.test(segment)) return 'date';
  if (/^[0-9]{1,64}$/.test(segment)) return 'digits';
  if (HEX.test(segment)) return 'hex';
  return segment.length <= MAX_WORD && LITERAL.test(segment) && !/^\.\.?$/.test(segment) ? 'word' : 'other';
}

/**
 * Whether varying words are slugs: lower-case letters and digits joined by hyphens or underscores, and at least half of the words
 * have a digit, a hyphen or an underscore. Plain words may as well be names of collections, so they are of unknown kind.
 */
export const areSlugs = (words: readonly string[]): boolean =>
  words.every((word) => SLUG.test(word)) && words.filter((word) => /[0-9_-]/.test(word)).length * 2 >= words.length;

/** Whether a word can be a further value of a parameter whose kind is `slug`. */
export const isSlug = (word: string): boolean => SLUG.test(word);

/** Lengths of the values of a parameter, and whether any of them has `_`. */
export interface ParameterValues {
  readonly least: number;
  readonly most: number;
  readonly hasUnderscore: boolean;
}

const times = ({ least, most }: ParameterValues): string => (least === most ? `{${least}}` : `{${least},${most}}`);

const PLAIN_SLUG = '[a-z0-9-]{1,64}';
const SLUG_WITH_UNDERSCORE = '[a-z0-9_-]{1,64}';

/** The types of a parameter whose kind is `slug`. */
export const SLUG_TYPES: readonly string[] = [PLAIN_SLUG, SLUG_WITH_UNDERSCORE];

/** The type of a parameter in a template, for the values that were seen. */
export const parameterTypeOf: Readonly<Record<ParameterKind, (values: ParameterValues) => string>> = {
  integer: () => 'int',
  digits: (values) => `[0-9]${times(values)}`,
  uuid: () => 'uuid',
  'upper-uuid': () => '[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}',
  date: () => '[0-9]{4}-[0-9]{2}-[0-9]{2}',
  hex: (values) => `[0-9a-f]${times(values)}`,
  slug: ({ hasUnderscore }) => (hasUnderscore ? SLUG_WITH_UNDERSCORE : PLAIN_SLUG),
  unknown: () => 'text',
};

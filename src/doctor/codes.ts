/** How much a finding matters: `error`, what Remit decides does not hold or no call works; `warning`, weaker than it looks; `info`, worth knowing. */
export type Level = 'error' | 'warning' | 'info';

/** What was examined, and the first word of the codes found in it. `--only` selects by it. */
export const CATEGORIES = ['envoy'] as const;

/** One of {@link CATEGORIES}. */
export type Category = (typeof CATEGORIES)[number];

/** What a finding code means. */
interface CodeEntry {
  /** The highest level of its findings. */
  readonly level: Level;
  /** What was found, as a noun phrase for lists of all codes. */
  readonly about: string;
}

const entry = (level: Level, about: string): CodeEntry => ({ level, about });

/** Every finding code, `category.problem`. Each has a section of the same name in the page of its category in `deploy/guide/fix/doctor/`. */
const table = {
  'envoy.never-asked': entry('error', 'calls that reach an upstream without asking Remit'),
} as const satisfies Readonly<Record<`${Category}.${string}`, CodeEntry>>;

/** The code of a finding. */
export type Code = keyof typeof table;

/** What each code means, in the order of the table. */
export const codes: ReadonlyMap<string, CodeEntry> = new Map(Object.entries(table));

const categories: ReadonlySet<string> = new Set(CATEGORIES);

/** Whether a word is a category. */
export const isCategory = (word: string): word is Category => categories.has(word);

/** The highest level of a code. */
export const levelOf = (code: Code): Level => table[code].level;

/** The page that explains a code. */
export const pageOf = (code: Code): string => {
  const [category = ''] = code.split('.');
  return `https://github.com/remit-dev/remit/blob/main/deploy/guide/fix/doctor/${category}.md#${code.replaceAll('.', '')}`;
};

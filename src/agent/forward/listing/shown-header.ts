/** What happened to the bytes of an answer: nothing, their encodings were undone, or they were rewritten. */
export type HeaderChange = 'none' | 'decoded' | 'shown';

/** Headers about the bytes of an answer, which are other bytes once it is decoded. */
const ABOUT_CODED: readonly string[] = [
  'content-length',
  'content-encoding',
  'content-md5',
  'content-digest',
  'repr-digest',
  'digest',
  'accept-ranges',
];

/** The headers that no longer hold. An entity tag still names the answer to its server if the answer is only decoded. */
const noMore: Readonly<Record<HeaderChange, ReadonlySet<string>>> = {
  none: new Set(),
  decoded: new Set(ABOUT_CODED),
  shown: new Set([...ABOUT_CODED, 'etag']),
};

/** The header lines of an answer that still hold. */
export const linesOfShown = (lines: readonly string[], change: HeaderChange): string[] =>
  lines.filter((_, at) => !noMore[change].has((lines[at - (at % 2)] ?? '').toLowerCase()));

/** JSON pointers of arguments: parsed, bounded, and followed into a value. */
import { textLike } from '../../runtime/fields.ts';

const MAX_LENGTH = 1024;
/** Most steps of a pointer. */
export const MAX_POINTER_DEPTH = 8;

/**
 * Reads a JSON pointer of 1 to 8 steps into its steps. A `~` must be followed by `0` or `1`.
 *
 * @see RFC 6901
 */
export const pointerText = textLike(
  `a JSON pointer of 1 to ${MAX_POINTER_DEPTH} steps, such as \`/order/total\` or \`/parts/0/text\``,
  (pointer) => /^(\/([^~/]|~[01])+)+$/.test(pointer) && stepsOf(pointer).length <= MAX_POINTER_DEPTH,
  { max: MAX_LENGTH },
);

/** The steps of a valid pointer: names of members, or indexes of array elements. */
export const stepsOf = (pointer: string): readonly string[] =>
  pointer
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));

/** The pointer with these steps. */
export const pointerOf = (steps: readonly string[]): string =>
  steps.map((step) => `/${step.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');

/** The index of an array element that a step names; `null` for `-`, leading zeros, signs and every other text. */
export const indexOf = (step: string): number | null => (/^(0|[1-9]\d*)$/.test(step) ? Number(step) : null);

import { BoundedMemo } from './bounded-memo.ts';

const texts = new BoundedMemo<string>({ maxKeyChars: 2_048, hasWholeKeys: true });

/**
 * A string equal to `text`, mostly the one that was given before: thousands of cached tokens and tasks repeat the same values. It is found
 * again while it is among the last 2,048 to 4,096 that were given.
 *
 * @param text no slice of a larger string, which would keep that in memory
 */
export const interned = <T extends string>(text: T): T => texts.of(text, same) as T;

const same = (text: string): string => text;

/**
 * The name `tools` of a member, over bytes in latin1. JSON may write each letter as an escape. Some parsers ignore the case of letters, and take
 * U+017F for an `s`.
 */
const MARK =
  /"(?:[tT]|\\u00[57]4)(?:[oO]|\\u00[46][fF]){2}(?:[lL]|\\u00[46][cC])(?:[sS]|\u00C5\u00BF|\\u00[57]3|\\u017[fF])"/;

/** The longest form of the name, in bytes: two quotes, and five escapes. */
const MAX_MARK_BYTES = 2 + 5 * 6;

/** Whether bytes have the name `tools`, without which no JSON has a list of tools. */
export const hasToolsMark = (bytes: Buffer): boolean => MARK.test(bytes.toString('latin1'));

/** Looks for the name `tools` in bytes that come in chunks, in linear time. */
export class ToolsMark {
  #before: Buffer = Buffer.alloc(0);

  /** Whether the name is in the next chunk, or began before and ends in it. */
  sees(chunk: Buffer): boolean {
    const bytes = Buffer.concat([this.#before, chunk]);
    // A copy, so that no chunk is kept.
    this.#before = Buffer.from(bytes.subarray(-(MAX_MARK_BYTES - 1)));
    return hasToolsMark(bytes);
  }
}

import { parseArgs } from 'node:util';
import type { ParseArgsOptionsConfig } from 'node:util';

/** Options and operands of one command. */
interface Options<T extends ParseArgsOptionsConfig> {
  readonly values: ReturnType<typeof parseArgs<{ options: T; args: string[]; allowPositionals: true }>>['values'];
  readonly operands: readonly string[];
}

/**
 * Parses the words after a command's name.
 *
 * @param maxOperands most operands (words without a dash)
 * @returns the options, or a one-line problem
 */
export function optionsFrom<const T extends ParseArgsOptionsConfig>(
  args: readonly string[],
  options: T,
  maxOperands: number,
): Options<T> | string {
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
    const extra = positionals[maxOperands];
    return extra === undefined ? { values, operands: positionals } : `unexpected argument \`${extra}\``;
  } catch (error) {
    // By shape: under a test runner the error is of another realm.
    const { message } = error as { readonly message?: unknown };
    return String(message).split('. ')[0] ?? '';
  }
}

import { parseArgs } from 'node:util';
import type { ParseArgsOptionsConfig } from 'node:util';

/** Options and operands of one command. */
interface Options<T extends ParseArgsOptionsConfig> {
  readonly values: ReturnType<typeof parseArgs<{ options: T; args: string[]; allowPositionals: true }>>['values'];
  readonly operands: readonly string[];
}

/**
 * Reads the words after a command's name.
 *
 * @param maxOperands words without a dash that the command takes at most
 * @returns the options, or what is wrong with them in a line
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
    // Of another realm under a test runner, so it is told by its shape.
    const { message } = error as { readonly message?: unknown };
    return String(message).split('. ')[0] ?? '';
  }
}

import { EXIT, refused } from './command.ts';
import type { CommandIo } from './command.ts';
import { isCommandRefusal } from './task/task-source.ts';
import type { CommandRefusal } from './task/task-source.ts';

/** A subcommand: the text that it prints, or why it refuses. */
export type Subcommand<Io> = (args: readonly string[], io: Io) => Promise<string | CommandRefusal>;

/**
 * Runs the words after the name of a command that has subcommands, such as `remit task`. The exit code is the answer.
 *
 * @param name the words of the command, without `remit`
 */
export const withSubcommands =
  <Io>(name: string, subcommands: ReadonlyMap<string, Subcommand<Io>>) =>
  async ([word = '', ...args]: readonly string[], io: Io & Pick<CommandIo, 'out' | 'err'>): Promise<number> => {
    const subcommand = subcommands.get(word);
    if (subcommand === undefined) {
      const words = [...subcommands.keys()].map((known) => `\`${known}\``);
      const choice = words.join(', ').replace(/, (?=[^,]{0,64}$)/, ' or ');
      return refused(io, `remit ${name}`, `${choice} is required; see \`remit ${name} --help\``);
    }
    const answer = await subcommand(args, io);
    const text = isCommandRefusal(answer) ? answer.done : answer;
    if (text !== undefined) io.out(text);
    return isCommandRefusal(answer) ? refused(io, `remit ${name} ${word}`, answer) : EXIT.good;
  };

import type { CommandIo } from '../command.ts';

/** What a command in a thread may use of the world outside. */
export type ThreadIo = Pick<CommandIo, 'out' | 'err' | 'environment' | 'progress'>;

/** A command as a thread runs it: with the words after its name, to its exit code. */
export type ThreadCommand = (args: readonly string[], io: ThreadIo) => Promise<number>;

/** Commands that read a million records, each of which is garbage as soon as it was read. */
export const threadCommands = {
  learn: async (): Promise<ThreadCommand> => (await import('../learn.ts')).runLearn,
  inventory: async (): Promise<ThreadCommand> => (await import('../inventory.ts')).runInventory,
  observe: async (): Promise<ThreadCommand> => (await import('../observe.ts')).runObserve,
} as const;

/** What a thread gets at its start. */
export interface ThreadInput {
  readonly name: keyof typeof threadCommands;
  readonly args: readonly string[];
  readonly environment: CommandIo['environment'];
  /** Whether there is a terminal, which shows progress. */
  readonly hasProgress: boolean;
}

/** A message of a thread: a line for one of the streams, or finally its exit code. */
export type ThreadMessage =
  { readonly to: 'out' | 'err' | 'progress'; readonly line: string } | { readonly exit: number };

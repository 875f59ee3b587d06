import type { CommandIo } from '../command.ts';

/** Options of commands that change a stop, besides those of the state. */
export const changeOptions = {
  because: { type: 'string' },
  by: { type: 'string' },
  wait: { type: 'string' },
} as const;

/** Whether a `--wait` is known. */
export const isWait = (word: string): word is 'enforced' | 'committed' => word === 'enforced' || word === 'committed';

/** What the commands use of the world outside. */
export type StopIo = Pick<CommandIo, 'err' | 'environment' | 'ask' | 'progress'>;

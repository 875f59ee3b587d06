import type { Command, CommandIo } from '../../src/cli/command.ts';

/** The exit code of a command, and the lines that it wrote. What it wrote to the data stream is in `out` as it came. */
export interface CommandRun {
  readonly code: number;
  readonly out: readonly string[];
  readonly err: readonly string[];
}

/** Runs a command in this process: without an environment, a terminal and signals, unless `over` has them. */
export async function commandRun(
  run: Command['run'],
  args: readonly string[],
  over: Partial<CommandIo> = {},
): Promise<CommandRun> {
  const [out, err]: [string[], string[]] = [[], []];
  const code = await run(args, {
    out: (line) => void out.push(line),
    err: (line) => void err.push(line),
    stdout: { writable: true, writableLength: 0, write: (text) => void out.push(text) },
    environment: {},
    command: [],
    runtimeVersion: process.versions.node,
    ended: () => new Promise(() => undefined),
    onHurry: () => () => undefined,
    onReload: () => undefined,
    onSignal: () => () => undefined,
    ...over,
  });
  return { code, out, err };
}

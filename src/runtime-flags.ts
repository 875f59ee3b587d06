/**
 * Flags of V8 for a process that answers checks. Room for new objects of 16 MiB, whatever the version of Node takes: with 4 MiB a
 * seventh less is answered, with 32 MiB no more and 40 MiB of memory are gone (`test/bench/README.md`).
 */
export const SERVING_FLAGS: readonly string[] = ['--max-semi-space-size=16'];

/** What a process was started with. */
export interface StartedWith {
  /** Flags on the command line of Node. */
  readonly execArgv: readonly string[];
  /** The variable `NODE_OPTIONS`. */
  readonly nodeOptions: string | undefined;
}

/** Those of the flags that the operator has said nothing about: what is set by hand stays as it is. */
export function flagsToAdd(wanted: readonly string[], { execArgv, nodeOptions = '' }: StartedWith): readonly string[] {
  const given = new Set([...execArgv, ...nodeOptions.split(/\s+/)].map(nameOf));
  return wanted.filter((flag) => !given.has(nameOf(flag)));
}

/** V8 takes `_` for `-`. */
const nameOf = (flag: string): string => (flag.split('=', 1)[0] ?? '').replaceAll('_', '-');

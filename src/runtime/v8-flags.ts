/**
 * Flags of V8 for a process that answers checks, whatever the version of Node takes. Room for new objects of 8 MiB: with 4 MiB a
 * seventh less is answered, with 16 or 32 MiB no more, and 16 or 40 MiB of memory are gone. And the old objects may double before they
 * are all looked at: of a heap as small as this V8 would do so for every 3 MiB more, some 30 ms each time, which doubles the 99th
 * percentile at 1,000 checks a second (`test/bench/README.md`).
 */
export const SERVING_FLAGS: readonly string[] = ['--max-semi-space-size=8', '--heap-growing-percent=100'];

/**
 * What the allocator of glibc is told for such a process: to give back what is free at the end of its heap, and to keep two arenas and
 * not eight for each core. Left to itself it raises that bound with the buffers it sees, and keeps a third of the memory of the process
 * for nothing (`test/bench/README.md`). Other C libraries do not know these variables.
 */
export const SERVING_ALLOCATOR: Readonly<Record<string, string>> = {
  MALLOC_ARENA_MAX: '2',
  MALLOC_TRIM_THRESHOLD_: '131072',
  MALLOC_MMAP_THRESHOLD_: '131072',
};

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

/** The variables of the allocator that the process has to begin with; none where the operator has set anything of it. */
export function allocatorToAdd(
  wanted: Readonly<Record<string, string>>,
  environment: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const isSet = Object.keys(environment).some((name) => name.startsWith('MALLOC_') || name === 'GLIBC_TUNABLES');
  return isSet ? {} : wanted;
}

/** V8 takes `_` for `-`. */
const nameOf = (flag: string): string => (flag.split('=', 1)[0] ?? '').replaceAll('_', '-');

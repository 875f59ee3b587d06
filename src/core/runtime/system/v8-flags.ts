/**
 * V8 flags for a process that answers checks, whatever the defaults of the Node version (measured in `test/bench/README.md`). Image and
 * units of systemd pass them: V8 and the allocator read most settings only at start.
 *
 * - `--max-semi-space-size=8`: 4 MiB lowers throughput by 14 %; 16 or 32 MiB gains nothing and costs 16 or 40 MiB of memory.
 * - `--heap-growing-percent=50`: lets the old generation grow by a half before a full collection. With a heap this small V8 would
 *   collect after every 3 MiB of growth, for some 30 ms each, which doubles the p99 at 1,000 checks a second. 100 % takes 10 MiB more.
 * - `--initial-old-space-size=32`: no full collection below 32 MiB. Without it V8 collects while a server starts. 64 takes 16 MiB more under
 *   load, since the limit stays after the collection of `garbage.ts`.
 * - `--wasm-num-compilation-tasks=1`: optimises one function of Cedar at a time. Several at once take up to 28 MiB of the C heap while
 *   policies are proved, most of which stays with the process.
 * - `--wasm-tiering-budget=100000000`: a function of the policy engine is optimised after 8 times as much work as by default, so a start and
 *   each reload optimise less that runs once: proving the shipped policies takes 0.32 s of processor time instead of 0.54. From some 10,000
 *   questions on, a question costs the same.
 * - `--no-maglev`: without V8's third compiler between Sparkplug and TurboFan. What it compiles at the beginning of a load holds 20 MiB of the
 *   C heap at once, of which 5 and more stay; a sidecar takes 9 MiB less under load and 3 less when idle, a start 0.03 s less, and the p99 of
 *   the first half minute is shorter. Throughput and processor time are equal afterwards; the first two seconds take 0.4 s more.
 * - `--always-sparkplug`: compiles each function at its first call instead of interpreting it at first. In the first ten seconds at 1,000 checks
 *   a second the p99 of one process falls from 42 to 24 ms, that of a sidecar from 300 to 218, which refuses 5 calls for 66
 *   (medians of four to six runs). A start takes 0.05 s more, a process 6 MiB.
 * - `--expose-gc`: for the collections of `garbage.ts`.
 */
export const SERVING_FLAGS: readonly string[] = [
  '--max-semi-space-size=8',
  '--heap-growing-percent=50',
  '--initial-old-space-size=32',
  '--wasm-num-compilation-tasks=1',
  '--wasm-tiering-budget=100000000',
  '--no-maglev',
  '--always-sparkplug',
  '--expose-gc',
];

/**
 * Settings of glibc's allocator for the same process: return free memory at the end of the heap, and use two arenas instead of
 * eight per core. By default glibc raises the trim threshold with the buffers it sees and keeps a third of the process's memory
 * unused (`test/bench/README.md`). Blocks of 32 KiB and more get mappings of their own, which are gone when they are freed: V8
 * compiles in blocks of that size, and of those of a start, 13 MiB would stay in the heap. Other C libraries ignore these variables.
 */
export const SERVING_ALLOCATOR: Readonly<Record<string, string>> = {
  MALLOC_ARENA_MAX: '2',
  MALLOC_TRIM_THRESHOLD_: '131072',
  MALLOC_MMAP_THRESHOLD_: '32768',
};

/** How a process was started. */
export interface StartedWith {
  /** Node's flags from the command line. */
  readonly execArgv: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/**
 * The settings for serving that a process was started without, as an operator would write them. A flag that is set to another value counts
 * as given, also in `NODE_OPTIONS`; so do all settings of the allocator if any is set.
 */
export function settingsMissing({ execArgv, environment }: StartedWith): readonly string[] {
  const inOptions = (environment['NODE_OPTIONS'] ?? '').split(/\s+/);
  const given = new Set([...execArgv, ...inOptions].map(nameOf));
  const isAllocatorSet = Object.keys(environment).some(
    (name) => name.startsWith('MALLOC_') || name === 'GLIBC_TUNABLES',
  );
  return [
    ...(isAllocatorSet ? [] : Object.entries(SERVING_ALLOCATOR).map(([name, value]) => `${name}=${value}`)),
    ...SERVING_FLAGS.filter((flag) => !given.has(nameOf(flag))),
  ];
}

/** V8 accepts `_` for `-`. */
const nameOf = (flag: string): string => (flag.split('=', 1)[0] ?? '').replaceAll('_', '-');

import { readFileSync, readdirSync } from 'node:fs';

/** The parts that memory is counted by. `managed heap` is what V8 or Go collects. */
export const MEMORY_PARTS = ['program', 'managed heap', 'code', 'wasm', 'C heap', 'stacks', 'other'] as const;

export type MemoryPart = (typeof MEMORY_PARTS)[number];

/** Memory of a process, MiB. */
export interface Memory {
  readonly resident: number;
  /** What no file backs: nothing but this process can have it. */
  readonly anonymous: number;
  /** The resident memory by part; `program` is the binary and its libraries, which processes on one host share. */
  readonly parts: Readonly<Record<MemoryPart, number>>;
}

/** A mapping, with sizes in KiB. @see proc_pid_smaps(5) */
interface Mapping {
  readonly from: number;
  readonly to: number;
  readonly access: string;
  readonly path: string;
  readonly rss: number;
  readonly anonymous: number;
}

export const memoryOf = (pid: number): Memory => memoryFrom(readFileSync(`/proc/${pid}/smaps`, 'utf8'));

export const threadsOf = (pid: number): number => readdirSync(`/proc/${pid}/task`).length;

/** Reads `/proc/PID/smaps`. */
export function memoryFrom(smaps: string): Memory {
  const mappings = smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m).flatMap(mappingFrom);
  const sums = Object.fromEntries(MEMORY_PARTS.map((part) => [part, 0])) as Record<MemoryPart, number>;
  let [resident, anonymous] = [0, 0];
  for (const [index, mapping] of mappings.entries()) {
    resident += mapping.rss;
    anonymous += mapping.anonymous;
    sums[partOf(mapping, mappings[index - 1], mappings[index + 1])] += mapping.rss;
  }
  const parts = Object.fromEntries(MEMORY_PARTS.map((part) => [part, sums[part] / 1024]));
  return { resident: resident / 1024, anonymous: anonymous / 1024, parts: parts as Record<MemoryPart, number> };
}

function mappingFrom(text: string): readonly Mapping[] {
  const [, from = '', to = '', access = '', path = ''] =
    /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \d+ *(.*)$/m.exec(text) ?? [];
  if (access === '') return [];
  const kib = (name: string): number => Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0);
  const place = { from: parseInt(from, 16), to: parseInt(to, 16) };
  return [{ ...place, access, path, rss: kib('Rss'), anonymous: kib('Anonymous') }];
}

/** V8 allocates its heap in pages of this size, at multiples of it and at addresses of its own. So does Go, of 4 MiB. */
const V8_PAGE = 256 * 1024;
/** Below the addresses that the kernel chooses, and above those of a program without random ones. */
const [LOW, HIGH] = [2 ** 32, 0x7e00_0000_0000];
/** V8 keeps so much address space free behind the memory of a wasm instance. */
const WASM_GUARD = 2 ** 32;
/** An arena of glibc, at a multiple of its size: what it uses, then what it may. */
const ARENA = 64 * 1024 * 1024;
const MIN_STACK = 1024 * 1024;
const MAX_STACK = 16 * 1024 * 1024;

function partOf(
  { from, to, access, path }: Mapping,
  before: Mapping | undefined,
  after: Mapping | undefined,
): MemoryPart {
  if (path === '[heap]') return 'C heap';
  if (path.startsWith('[stack')) return 'stacks';
  if (path.startsWith('/')) return 'program';
  if (path !== '' && !path.startsWith('[anon')) return 'other';
  if (access.includes('x')) return 'code';
  const isFree = (mapping: Mapping | undefined): mapping is Mapping => mapping?.access.startsWith('---') === true;
  const followed = isFree(after) && after.from === to ? after.to - after.from : 0;
  if (followed >= WASM_GUARD) return 'wasm';
  if (from % V8_PAGE === 0 && from > LOW && from < HIGH) return 'managed heap';
  if (from % ARENA === 0 && (to - from + followed) % ARENA === 0) return 'C heap';
  const isGuarded = isFree(before) && before.to === from && before.to - before.from < V8_PAGE;
  if (isGuarded && to - from >= MIN_STACK && to - from <= MAX_STACK) return 'stacks';
  return 'other';
}

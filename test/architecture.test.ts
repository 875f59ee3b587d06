import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { sentenceOf } from '../.ci/map/docstring.ts';
import { sourceMap } from '../.ci/map/map.ts';

const src = resolve(import.meta.dirname, '../src');

/**
 * The wings and their floors: a file imports only wings of a lower floor, or its own. Wings of one floor never import each other. What `remit
 * serve` can load is `core`, `sidecar`, `authority` and `serve`.
 */
const floor: Readonly<Record<string, number>> = {
  core: 0,
  sidecar: 1,
  authority: 1,
  serve: 2,
  agent: 2,
  tools: 3,
  dev: 4,
  cli: 5,
  'main.ts': 6,
};

/** The rooms of each wing in the order of the data path: a file imports only rooms of a lower rank, or its own. */
const rank: Readonly<Record<string, number>> = {
  'core/decision': 0,
  'core/protobuf': 0,
  'core/runtime': 0,
  'core/sqlite': 1,
  'core/identity': 1,
  'core/order': 2,
  'core/token': 2,
  'core/config': 3,
  'core/task': 3,
  'core/action': 4,
  'core/limit': 5,
  'core/policy': 6,
  'core/decide': 7,
  'core/ledger': 8,
  'core/fleet': 9,
  'core/telemetry': 10,
  'core/state': 10,
  'core/shadow': 11,

  'sidecar/http2': 0,
  'sidecar/records': 0,
  'sidecar/outcome': 1,
  'sidecar/state': 1,
  'sidecar/check': 2,
  'sidecar/envoy': 3,

  'authority/records': 0,
  'authority/state': 1,
  'authority/feed': 2,
  'authority/issuer': 2,

  'serve/admin': 0,
  serve: 1,
  agent: 0,

  'tools/policy': 0,
  'tools/init': 0,
  'tools/inject': 0,
  'tools/evidence': 1,
  'tools/learn': 1,
  'tools/doctor': 1,
  'tools/observe': 2,

  dev: 0,
  cli: 0,
  'main.ts': 0,
};

/** The room of a file: the longest of these paths that it lies in. */
const roomOf = (path: string): string =>
  Object.keys(rank)
    .filter((room) => path === room || path.startsWith(`${room}/`))
    .reduce((longest, room) => (room.length > longest.length ? room : longest), '');

const wingOf = (path: string): string => path.split('/')[0] ?? '';

/** Whether a file may import another one. */
function mayImport(from: string, to: string): boolean {
  const [here, there] = [wingOf(from), wingOf(to)];
  if (here !== there) return (floor[there] ?? Infinity) < (floor[here] ?? -1);
  const [room, target] = [roomOf(from), roomOf(to)];
  return room === target || (rank[target] ?? Infinity) < (rank[room] ?? -1);
}

/** Most files of a folder: a longer one is split by what its files are about. */
const MOST_FILES = 30;

interface Source {
  readonly path: string;
  readonly text: string;
  readonly imports: readonly string[];
}

const sources: readonly Source[] = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => {
    const text = readFileSync(join(src, path), 'utf8');
    const imports = [...text.matchAll(/\bfrom '([^']+)'|\bimport\('([^']+)'\)/g)].map((m) => m[1] ?? m[2] ?? '');
    return { path, text, imports };
  });

const local = ({ path, imports }: Source): readonly string[] =>
  imports.filter((name) => name.startsWith('.')).map((name) => relative(src, join(src, dirname(path), name)));

describe('the structure of src', () => {
  it('has a floor for each wing, and a rank for each room', () => {
    expect(sources.filter(({ path }) => floor[wingOf(path)] === undefined).map(({ path }) => path)).toEqual([]);
    expect(sources.filter(({ path }) => roomOf(path) === '').map(({ path }) => path)).toEqual([]);
  });

  it('imports lower floors, and backwards along the data path, only', () => {
    const forward = sources.flatMap(({ path, ...source }) =>
      local({ path, ...source })
        .filter((target) => !mayImport(path, target))
        .map((target) => `${path} imports ${target}`),
    );
    expect(forward).toEqual([]);
  });

  it(`has no folder of more than ${MOST_FILES} files`, () => {
    const folders = Map.groupBy(sources, ({ path }) => dirname(path));
    expect([...folders].filter(([, files]) => files.length > MOST_FILES).map(([folder]) => folder)).toEqual([]);
  });

  it('has no cycle', () => {
    const targets = new Map(sources.map((source) => [source.path, local(source)]));
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (path: string, trail: readonly string[]): void => {
      if (trail.includes(path)) cycles.push([...trail.slice(trail.indexOf(path)), path].join(' > '));
      if (trail.includes(path) || done.has(path)) return;
      for (const target of targets.get(path) ?? []) visit(target, [...trail, path]);
      done.add(path);
    };
    for (const path of targets.keys()) visit(path, []);
    expect(cycles).toEqual([]);
  });

  it.each([
    ['an Allow is built in one place', /kind: 'allow'(?! \|)/, ['core/decision/decision.ts', 'core/decision/allow.ts']],
    [
      'that place is used only if policies permit, and if a denial is only observed',
      /decision\/allow\.ts|\ballowBy\b/,
      ['core/decision/decision.ts', 'core/decision/allow.ts', 'core/policy/authorize.ts', 'core/decide/enforce.ts'],
    ],
    [
      'the process is read only in main, and measured in telemetry/process-usage',
      /(?<![.#])\bprocess\.|node:process/,
      // The last one is the text of another program.
      [
        'main.ts',
        'agent/run/watcher-process.ts',
        'core/telemetry/metrics/process-usage.ts',
        'dev/observe/agent-program.ts',
      ],
    ],
    ['the wall clock is read only in runtime/ports', /\bDate\.now\(|\bnew Date\(\)/, ['core/runtime/ports.ts']],
    [
      'random bytes are drawn only in runtime/ports',
      /\bMath\.random\(|\bgetRandomValues\(|import \{[^}]*\brandom\w+[^}]*\} from 'node:crypto'/,
      ['core/runtime/ports.ts'],
    ],
    [
      'the gRPC and protobuf libraries stay if a network is crossed',
      /@grpc\/|grpc-health-check|protobufjs/,
      [
        'core/identity/workload-api',
        'core/identity/server-credentials',
        'sidecar/envoy/network/',
        'core/fleet/',
        'sidecar/records/',
        'sidecar/state/',
        'authority/feed/',
      ],
    ],
    ['the tracing SDK stays in telemetry', /@opentelemetry\/(?:sdk|exporter)/, ['core/telemetry/']],
    ['the policy engine stays in policy', /cedar-wasm/, ['core/policy/']],
  ])('%s', (_rule, pattern, places) => {
    const found = sources.filter(({ text }) => pattern.test(text.replaceAll(/^\s*(?:\*|\/\/|\/\*).*$/gm, '')));
    expect(found.map(({ path }) => path).filter((path) => !places.some((place) => path.startsWith(place)))).toEqual([]);
  });

  it('decides nothing by the text of a cause', () => {
    const words = String.raw`(?:cause|causeNote|cause_note|(?:cause|record|event)\??\.note)`;
    const reads = [
      new RegExp(String.raw`\b${words}\b\??\)?\.(?:startsWith|endsWith|includes|indexOf|match|matchAll|search)\(`),
      new RegExp(String.raw`(?:cause|record|event)\??\.note\b\)? (?:===|!==) (?!null\b|'')`),
    ];
    const found = sources.filter(({ text }) => reads.some((read) => read.test(text))).map(({ path }) => path);
    expect(found).toEqual([]);
    expect(reads.some((read) => read.test("last.cause.startsWith('it is part of')"))).toBe(true);
  });

  it('has a map of every room and file, made by `npm run map`', () => {
    const page = readFileSync(join(src, 'README.md'), 'utf8');
    const made = sourceMap(page);
    expect(made.problems).toEqual([]);
    expect(made.page.split('\n').filter((line) => !page.includes(`${line}\n`))).toEqual([]);
    expect(page).toHaveLength(made.page.length);
  });
});

describe('sentenceOf', () => {
  it.each([
    ['the comment before the imports', "/** A. B. */\nimport x from 'x';\n/** C. */\nexport const one = 1;", 'A'],
    [
      'that of the export named like the file',
      '/** A. */\nexport interface Two {}\n/** C: d. */\nexport const one = 1;',
      'C: d',
    ],
    [
      'that of a function before that of a type',
      '/** A. */\nexport interface One {}\n/** C. */\nexport function one() {}',
      'C',
    ],
    ['nothing, if there is none', 'export const one = 1;', null],
  ])('gives %s', (_name, text, sentence) => {
    expect(sentenceOf('room/one.ts', text)).toBe(sentence);
  });
});

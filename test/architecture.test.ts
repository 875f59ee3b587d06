import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { sentenceOf } from '../.ci/map/docstring.ts';
import { sourceMap } from '../.ci/map/map.ts';

const src = resolve(import.meta.dirname, '../src');

/**
 * The rooms in the order of the data path: a file imports only rooms of a lower rank, or its own. Rooms of the same rank
 * never import each other: the shells stand side by side.
 */
const rank: Readonly<Record<string, number>> = {
  decision: 0,
  protobuf: 0,
  runtime: 0,
  sqlite: 1,
  identity: 1,
  http2: 2,
  token: 2,
  config: 3,
  task: 3,
  action: 4,
  policy: 5,
  decide: 6,
  ledger: 8,
  fleet: 9,
  outcome: 9,
  telemetry: 10,
  state: 10,
  check: 11,
  evidence: 11,

  authority: 15,
  envoy: 15,
  issuer: 15,
  admin: 15,
  'agent-run': 15,
  'policy-tools': 16,
  inject: 16,
  init: 17,
  server: 17,
  doctor: 17,
  dev: 18,
  commands: 20,
  'main.ts': 21,
};

interface Source {
  readonly path: string;
  readonly room: string;
  readonly text: string;
  readonly imports: readonly string[];
}

const sources: readonly Source[] = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => {
    const text = readFileSync(join(src, path), 'utf8');
    const imports = [...text.matchAll(/\bfrom '([^']+)'|\bimport\('([^']+)'\)/g)].map((m) => m[1] ?? m[2] ?? '');
    return { path, room: path.split('/')[0] ?? '', text, imports };
  });

const local = ({ path, imports }: Source): readonly string[] =>
  imports.filter((name) => name.startsWith('.')).map((name) => relative(src, join(src, dirname(path), name)));

describe('the structure of src', () => {
  it('has a rank for each room', () => {
    expect(sources.filter((source) => rank[source.room] === undefined).map((source) => source.path)).toEqual([]);
  });

  it('imports backwards along the data path only', () => {
    const forward = sources.flatMap((source) =>
      local(source)
        .filter((target) => {
          const room = target.split('/')[0] ?? '';
          return room !== source.room && (rank[room] ?? Infinity) >= (rank[source.room] ?? -1);
        })
        .map((target) => `${source.path} imports ${target}`),
    );
    expect(forward).toEqual([]);
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
    [
      'an Allow is built only in policy/authorize',
      /kind: 'allow'(?! \|)/,
      ['decision/decision.ts', 'policy/authorize.ts'],
    ],
    [
      'the process is read only in main, and measured in telemetry/process-usage',
      /(?<![.#])\bprocess\.|node:process/,
      ['main.ts', 'agent-run/watcher-process.ts', 'telemetry/process-usage.ts'],
    ],
    ['the wall clock is read only in runtime/ports', /\bDate\.now\(|\bnew Date\(\)/, ['runtime/ports.ts']],
    [
      'random bytes are drawn only in runtime/ports',
      /\bMath\.random\(|\bgetRandomValues\(|import \{[^}]*\brandom\w+[^}]*\} from 'node:crypto'/,
      ['runtime/ports.ts'],
    ],
    [
      'the gRPC and protobuf libraries stay where a network is crossed',
      /@grpc\/|grpc-health-check|protobufjs/,
      [
        'identity/workload-api',
        'identity/server-credentials',
        'envoy/network/',
        'fleet/',
        'state/remote/',
        'authority/',
      ],
    ],
    ['the tracing SDK stays in telemetry', /@opentelemetry\/(?:sdk|exporter)/, ['telemetry/']],
    ['the policy engine stays in policy', /cedar-wasm/, ['policy/']],
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

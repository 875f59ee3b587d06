import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { builtSources } from '../built-sources.ts';
import { root } from './sources.ts';

const dist = join(root, 'dist');
const program = join(dist, 'program');

/** The files that a file of the build loads at once, itself included: without what it imports only when it is asked to. */
function loadedWith(file: string, loaded = new Set<string>()): ReadonlySet<string> {
  if (loaded.has(file)) return loaded;
  loaded.add(file);
  const text = readFileSync(file, 'utf8');
  for (const [, name = ''] of text.matchAll(/^(?:import|export) (?:[^"]* from )?"(\.[^"]+)";$/gm))
    loadedWith(join(file, '..', name), loaded);
  return loaded;
}

/** The built file of a command; the only one of that name, whatever its hash. That of `remit serve` has none. */
function built(name: string): string {
  const found = readdirSync(program).filter((file) => new RegExp(`^${name}(?:-.{8})?\\.js$`).test(file));
  expect(found).toHaveLength(1);
  return join(program, found[0] ?? '');
}

const GRPC = /node_modules\/(?:@grpc|protobufjs)\//;
const POSTGRES = /node_modules\/pg\/|src\/authority\/state\/postgres\//;
const SDKS = /node_modules\/(?:@aws-sdk|@opentelemetry\/sdk|@opentelemetry\/otlp)/;
const PROTOBUF = /node_modules\/@bufbuild\//;
const ROLES = /src\/(?:authority\/feed|agent|dev|sidecar\/state|tools)\/|src\/authority\/issuer\/server\.ts$/;

describe('what the build loads', () => {
  it.each([
    ['serve', [GRPC, POSTGRES, SDKS, PROTOBUF, ROLES]],
    ['healthcheck', [GRPC, POSTGRES, SDKS, PROTOBUF, /src\/(?:authority|core\/(?:policy|state)|serve)\//]],
    ['run', [GRPC, POSTGRES, SDKS, PROTOBUF, /src\/(?:authority|core\/(?:policy|state)|serve|sidecar)\//]],
  ])('`remit %s` without the code of roles and packages that it may not use', (name, others) => {
    const sources = builtSources(loadedWith(built(name)));
    expect(sources.some((source) => source.endsWith(`src/cli/${name}.ts`))).toBe(true);
    expect(sources.filter((source) => others.some((other) => other.test(source)))).toEqual([]);
  });

  it('`remit --help` with no more than 10 files', () => {
    const files = loadedWith(join(dist, 'main.js'));
    expect(files.size).toBeLessThanOrEqual(10);
    expect(builtSources(files).filter((source) => source.includes('node_modules'))).toEqual([]);
  });

  it.each([
    'compile-worker',
    'log-worker',
    'witness-worker',
    'index-worker',
    'authority-worker',
    'watcher-process',
    'command-worker',
  ])('the thread %s with a single file', (name) => {
    const files = loadedWith(join(program, `${name}.js`));
    expect(files.size).toBe(1);
    expect(builtSources(files).some((source) => source.endsWith(`/${name}.ts`))).toBe(true);
  });
});

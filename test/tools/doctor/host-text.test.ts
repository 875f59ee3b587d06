import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { documentsFrom, documentsIn } from '../../../src/tools/doctor/collect/host-text.ts';
import { testFolders } from '../../builders/test-folders.ts';

const folder = testFolders();

describe('the documents of a file', () => {
  it('are all of its values, of YAML and of JSON, except empty values', () => {
    expect(documentsFrom('a: 1\n---\n---\n- 2\n---\n{"b": 3}\n')).toEqual([{ a: 1 }, [2], { b: 3 }]);
    expect(documentsFrom('')).toEqual([]);
  });

  it.each<[string, string, unknown]>([
    ['words of YAML 1.1', 'a: yes\nb: Off\nc: y\nd: [ON, n]\n', { a: true, b: false, c: true, d: [true, false] }],
    ['words in quotes', 'a: \'yes\'\nb: "on"\n', { a: 'yes', b: 'on' }],
    ['words that only begin so', 'a: yesterday\nb: once\n', { a: 'yesterday', b: 'once' }],
    ['octal numbers', 'a: 010\nb: 0x10\nc: 08\n', { a: 8, b: 16, c: 8 }],
    ['a merge', 'a: &a { x: 1, z: 2 }\nb: { <<: *a, z: 3 }\n', { a: { x: 1, z: 2 }, b: { x: 1, z: 3 } }],
    ['merges, of which the first wins', 'a: { <<: [{ x: 1 }, { x: 2, z: 2 }] }\n', { a: { x: 1, z: 2 } }],
    ['a merge in a merge', 'a: { <<: { <<: { x: 1 } } }\n', { a: { x: 1 } }],
    ['what cannot be merged', 'a: { <<: 1 }\n', { a: { '<<': 1 } }],
    [
      'a member that a prototype has',
      'a: { <<: { __proto__: { x: 1 } } }\n',
      { a: JSON.parse('{"__proto__":{"x":1}}') },
    ],
  ])('are read as Kubernetes and Envoy read them: %s', (_name, text, value) => {
    expect(documentsFrom(text)).toEqual([value]);
  });

  it('are a problem, and soon, if values are within themselves or too deep', () => {
    expect(documentsFrom('a: &a [*a, *a]\n')).toEqual({ problem: 'an alias leads back to itself' });
    expect(documentsFrom('a: &a { b: *a, c: *a }\n')).toEqual({ problem: 'an alias leads back to itself' });
    expect(documentsFrom(`a: ${'['.repeat(100_000)}`)).toEqual({ problem: expect.stringMatching(/^not YAML: /) });
  });

  it.each([
    ['a template of Helm', '{{- if .a }}\na: 1\n{{- end }}\n', /^not YAML: /],
    ['a name twice', 'a: 1\na: 2\n', /^not YAML: /],
    ['an alias of nothing', 'a: *b\n', /^not YAML: /],
    ['aliases that multiply', `a: &a [1]\nb: [${'*a,'.repeat(201)}]\n`, /^more than 200 aliases$/],
  ])('are a problem with %s', (_name, text, problem) => {
    expect(documentsFrom(text)).toEqual({ problem: expect.stringMatching(problem) });
  });

  it('are a problem, with its name, if it cannot be read', () => {
    const at = folder();
    const write = (name: string, bytes: Buffer): string => (writeFileSync(join(at, name), bytes), join(at, name));
    mkdirSync(join(at, 'folder'));
    symlinkSync('/dev/zero', join(at, 'endless'));
    const cases: readonly (readonly [string, RegExp])[] = [
      [join(at, 'missing'), /could not be read: ENOENT$/],
      [join(at, 'folder'), /could not be read: EISDIR$/],
      [join(at, 'endless'), /is longer than 8388608 bytes$/],
      [write('bytes', Buffer.of(0x61, 0xff)), /is not UTF-8$/],
      [write('bad', Buffer.from('a: [')), /: not YAML: /],
    ];
    for (const [file, problem] of cases) {
      const read = documentsIn(file);
      expect([file, read]).toEqual([file, { problem: expect.stringMatching(problem) }]);
      expect(JSON.stringify(read)).toContain(`\`${file}\``);
    }
  });
});

import { describe, expect, it } from '@jest/globals';
import type { PolicyDisk } from '../../../../src/core/policy/loading/source.ts';
import { readSuites } from '../../../../src/tools/policy/cases/suite-source.ts';
import { findingLines, planner } from './folder.ts';

const CASE = `cases: [{ name: a, agent: ${planner}, action: x, expect: deny }]`;

const diskOf = (files: Readonly<Record<string, string | Uint8Array | null>>): PolicyDisk => ({
  list: async (folder) => {
    const names = Object.keys(files)
      .filter((name) => name.startsWith(`${folder}/`))
      .map((name) => name.slice(folder.length + 1).split('/')[0] ?? '');
    return [...new Set(names)];
  },
  read: async (file) => {
    const content = files[file];
    if (content === undefined) throw Object.assign(new Error('no'), { code: 'ENOENT' });
    return content === null ? null : Buffer.from(content);
  },
  stamp: async (file) => file,
  guard: async () => null,
});

describe('readSuites', () => {
  it('reads the suites of a folder and its subfolders by name, and nothing else', async () => {
    const read = await readSuites(
      'p',
      diskOf({
        'p/tests/b.test.yaml': CASE,
        'p/policies/c.test.yaml': CASE,
        'p/a.test.yaml': CASE,
        'p/d.cedartests.json': '[]',
        'p/.e.test.yaml': '',
        'p/examples/f.test.yaml': '',
        'p/g.yaml': '',
      }),
    );
    expect('findings' in read ? read : [read.files, read.cases.map(({ file }) => file)]).toEqual([
      4,
      ['p/a.test.yaml', 'p/policies/c.test.yaml', 'p/tests/b.test.yaml'],
    ]);
  });

  it('reports all findings', async () => {
    const read = await readSuites(
      'p',
      diskOf({
        'p/a.test.yaml': 'cases: 1',
        'p/b.test.yaml': new Uint8Array([255]),
        'p/c.test.yaml': null,
        'p/d.cedartests.json': '{}',
        'p/e.test.yaml': CASE,
      }),
    );
    expect('findings' in read && findingLines(read.findings)).toEqual([
      'p/a.test.yaml:1:8: `cases` must be a list',
      'p/b.test.yaml:1:1: the file could not be read: ERR_ENCODING_INVALID_ENCODED_DATA',
      'p/c.test.yaml:1:1: the file must be a regular file of at most 8388608 bytes',
      'p/d.cedartests.json:1:1: the tests must be a list',
    ]);
  });

  it('reads 1,000 suites at most', async () => {
    const files = Object.fromEntries(Array.from({ length: 1001 }, (_, index) => [`p/${index}.test.yaml`, CASE]));
    const read = await readSuites('p', diskOf(files));
    expect('findings' in read && findingLines(read.findings)).toEqual([
      'p:1:1: a policy folder has at most 1000 suites',
    ]);
  });
});

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { folderStamp, readPolicySource, systemDisk } from '../../../../src/core/policy/loading/source.ts';
import type { PolicyDisk } from '../../../../src/core/policy/loading/source.ts';
import { baseSchema } from '../../../builders/policy-folder.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'remit-policies-'));
  mkdirSync(join(folder, 'policies'));
  write('actions.yaml', 'servers: {}');
  write('base.cedarschema', 'namespace Remit {}');
});
afterEach(() => rmSync(folder, { recursive: true }));

const write = (name: string, content: string | Uint8Array) => writeFileSync(join(folder, name), content);
const findings = async () => {
  const source = await readPolicySource(folder);
  if (!('findings' in source)) throw new Error('no findings');
  return source.findings.map(
    ({ file, line, column, message }) => `${file.slice(folder.length + 1)}:${line}:${column}: ${message}`,
  );
};

const YAML_ONLY = 'is not read: the name of a file of the catalog ends in `.yaml`';

const grpc = (name: string) => `{ grpc: { descriptorSet: ${name} } }`;

describe('readPolicySource', () => {
  it('reads the files of a set by name, and ignores others', async () => {
    write('b.cedar', 'b');
    write('policies/a.cedar', '\ufeffa');
    write('policies/a.cedarlinks.json', '[]');
    write('e.cedarentities.json', '[]');
    mkdirSync(join(folder, 'policies/team/own'), { recursive: true });
    for (const other of ['tests', 'examples/one', '.git', 'docs']) mkdirSync(join(folder, other), { recursive: true });
    write('policies/team/own/z.cedar', 'z');
    for (const name of ['README.md', '.hidden.cedar', 'remit.cedarschema', 'policies/note.txt', 'policies/a.cedar~'])
      write(name, 'x');
    for (const name of ['tests/t.cedar', 'examples/one/actions.yaml', '.git/g.cedar', 'docs/policy.md'])
      write(name, 'x');
    const source = await readPolicySource(folder);
    expect(source).toMatchObject({
      folder,
      catalogs: [{ name: 'actions.yaml', file: join(folder, 'actions.yaml'), text: 'servers: {}' }],
      policies: [
        { name: 'b.cedar', text: 'b' },
        { name: 'policies/a.cedar', text: 'a' },
        { name: 'policies/a.cedarlinks.json', text: '[]' },
        { name: 'policies/team/own/z.cedar', text: 'z' },
      ],
      entities: [{ name: 'e.cedarentities.json' }],
    });
  });

  it('reads the descriptor sets that the catalog names, with the problem of an unreadable set', async () => {
    const more = Array.from({ length: 14 }, (_, index) => `s${index}: ${grpc(`s${index}.binpb`)}`);
    mkdirSync(join(folder, 'protos'));
    write('protos/a.binpb', new Uint8Array([0, 255]));
    write('b.binpb', Buffer.alloc(2 * 1024 * 1024 + 1));
    write('other.binpb', 'x');
    write(
      'actions.yaml',
      `servers: { a: ${grpc('protos/a.binpb')}, b: ${grpc('b.binpb')}, ${more.join(', ')}, z: ${grpc('z.binpb')} }`,
    );
    const source = await readPolicySource(folder);
    if (!('descriptorSets' in source)) throw new Error('no source');
    const sets = [...source.descriptorSets].map(([name, set]) => [name, 'problem' in set ? set.problem : [...set]]);
    expect([...sets.slice(0, 3), sets.at(-1)]).toEqual([
      ['protos/a.binpb', [0, 255]],
      ['b.binpb', 'must be a regular file of at most 2097152 bytes'],
      ['s0.binpb', 'could not be read: ENOENT'],
      ['z.binpb', 'is more than 16'],
    ]);
  });

  // Issue 37, point 16: a team's forbids in a subfolder of `policies` were ignored in silence.
  it.each([
    [
      'policies elsewhere',
      'team/a.cedar',
      'is not read: policies lie in the policy folder, or in its folder `policies`',
    ],
    [
      'links elsewhere',
      'a/b/c.cedarlinks.json',
      'is not read: policies lie in the policy folder, or in its folder `policies`',
    ],
    ['policies with another case', 'policies/A.CEDAR', 'is not read: write its extension in lower case'],
    [
      'enforcement in a folder',
      'policies/enforcement.yaml',
      'is not read: what is observed is in `enforcement.yaml` of the policy folder itself',
    ],
    [
      'enforcement with another case',
      'Enforcement.yaml',
      'is not read: what is observed is in `enforcement.yaml` of the policy folder itself',
    ],
    [
      'enforcement with another extension',
      'enforcement.yml',
      'is not read: what is observed is in `enforcement.yaml` of the policy folder itself',
    ],
    [
      'limits in a folder',
      'policies/limits.yaml',
      'is not read: limits over all tasks are in `limits.yaml` of the policy folder itself',
    ],
    [
      'limits with another case',
      'Limits.yaml',
      'is not read: limits over all tasks are in `limits.yaml` of the policy folder itself',
    ],
    [
      'limits with another extension',
      'limits.yml',
      'is not read: limits over all tasks are in `limits.yaml` of the policy folder itself',
    ],
    ['links with another case', 'a.cedarLinks.json', 'is not read: write its extension in lower case'],
    ['policies in JSON', 'policies/a.cedar.json', 'policies in JSON are not read: write them in `.cedar` files'],
    [
      'entities among the policies',
      'policies/e.cedarentities.json',
      'is not read: entities lie in the policy folder, or in its folder `entities`',
    ],
    [
      'a second catalog',
      'policies/actions.yaml',
      'is not read: the catalog is `actions.yaml` of the policy folder itself, and the files of its folder `actions`',
    ],
    [
      'a catalog elsewhere',
      'team/actions.yaml',
      'is not read: the catalog is `actions.yaml` of the policy folder itself, and the files of its folder `actions`',
    ],
    [
      'a catalog by another name',
      'actions.yml',
      'is not read: the catalog is `actions.yaml` of the policy folder itself, and the files of its folder `actions`',
    ],
    [
      'a catalog with another case',
      'Actions.yaml',
      'is not read: the catalog is `actions.yaml` of the policy folder itself, and the files of its folder `actions`',
    ],
    ['a file of the catalog by another extension', 'actions/crm.yml', YAML_ONLY],
    ['a file of the catalog with another case', 'actions/Crm.YAML', YAML_ONLY],
    [
      'policies in the folder of the catalog',
      'actions/a.cedar',
      'is not read: policies lie in the policy folder, or in its folder `policies`',
    ],
    [
      'entities in the folder of the catalog',
      'actions/e.cedarentities.json',
      'is not read: entities lie in the policy folder, or in its folder `entities`',
    ],
    [
      'a catalog in the folder of entities',
      'entities/actions.yaml',
      'is not read: the catalog is `actions.yaml` of the policy folder itself, and the files of its folder `actions`',
    ],
    [
      'the folder of the catalog with another case',
      'Actions/crm.yaml',
      'is not read: the folder of the catalog is `actions`, in lower case',
    ],
    [
      'a second schema',
      'other.cedarschema',
      'is not read: the base schema is `base.cedarschema` of the policy folder itself',
    ],
  ])('refuses %s by name', async (_what, name, problem) => {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    const before = await folderStamp(folder);
    write(name, '[]');
    expect(await findings()).toEqual([`${name}:1:1: ${problem}`]);
    expect(await folderStamp(folder)).not.toEqual(before);
  });

  it('reads catalog and entities in several files, in folders of their own (issue 43, point 2)', async () => {
    mkdirSync(join(folder, 'actions/crm'), { recursive: true });
    mkdirSync(join(folder, 'entities'));
    write('actions/payments.yaml', `servers: { p: ${grpc('p.binpb')} }`);
    write('actions/crm/crm.yaml', `servers: { c: ${grpc('p.binpb')}, d: ${grpc('d.binpb')} }`);
    write('actions/README.md', 'x');
    write('entities/payments.cedarentities.json', '[]');
    write('entities.cedarentities.json', '[]');
    const names = async () => {
      const source = await readPolicySource(folder);
      if (!('catalogs' in source)) throw new Error('no source');
      const { catalogs, entities, descriptorSets } = source;
      return [...[catalogs, entities].map((files) => files.map(({ name }) => name)), [...descriptorSets.keys()]];
    };
    expect(await names()).toEqual([
      ['actions.yaml', 'actions/crm/crm.yaml', 'actions/payments.yaml'],
      ['entities.cedarentities.json', 'entities/payments.cedarentities.json'],
      ['p.binpb', 'd.binpb'],
    ]);
    rmSync(join(folder, 'actions.yaml'));
    expect((await names())[0]).toEqual(['actions/crm/crm.yaml', 'actions/payments.yaml']);
  });

  it.each([
    ['a file of the catalog', 'actions/crm.yaml', 'servers: {}', 'servers: { }'],
    ['a file of entities', 'entities/crm.cedarentities.json', '[]', '[ ]'],
    ['a descriptor set that such a file names', 'd.binpb', 'x', 'xy'],
  ])('has another stamp after a change of %s (issue 43, point 2)', async (_what, name, before, after) => {
    for (const within of ['actions', 'entities']) mkdirSync(join(folder, within));
    write('actions/d.yaml', `servers: { d: ${grpc('d.binpb')} }`);
    const none = await folderStamp(folder);
    write(name, before);
    const first = await folderStamp(folder);
    write(name, after);
    const stamps = [none, first, await folderStamp(folder)];
    expect(new Set(stamps).size).toBe(3);
  });

  it('reads policies through linked folders, and refuses a loop of them', async () => {
    const elsewhere = mkdtempSync(join(tmpdir(), 'remit-team-'));
    try {
      writeFileSync(join(elsewhere, 'team.cedar'), 't');
      symlinkSync(elsewhere, join(folder, 'policies/team'));
      expect(await readPolicySource(folder)).toMatchObject({
        policies: [{ name: 'policies/team/team.cedar', text: 't' }],
      });
      symlinkSync(elsewhere, join(folder, 'team'));
      expect(await findings()).toEqual([expect.stringContaining('team/team.cedar:1:1: is not read: policies lie in')]);
      rmSync(join(folder, 'team'));
      symlinkSync('.', join(elsewhere, 'again'));
      expect(await findings()).toEqual([expect.stringContaining('again:1:1: folders of policies are at most 8 deep')]);
    } finally {
      rmSync(elsewhere, { recursive: true });
    }
  });

  it('refuses a folder of policies that others can write, at any depth', async () => {
    mkdirSync(join(folder, 'policies/team'));
    write('policies/team/a.cedar', 'a');
    const source = await readPolicySource(folder, {
      ...systemDisk,
      guard: async (path) => (path.endsWith('policies/team') ? 'others can write it' : null),
    });
    expect(source).toMatchObject({
      findings: [{ file: join(folder, 'policies/team'), message: 'others can write it' }],
    });
  });

  it('has the base schema of this build if the folder has none', async () => {
    rmSync(join(folder, 'base.cedarschema'));
    expect(await readPolicySource(folder)).toMatchObject({
      schema: { name: 'base.cedarschema', file: join(folder, 'base.cedarschema'), text: baseSchema },
    });
  });

  it('follows symbolic links, as in a mounted ConfigMap', async () => {
    mkdirSync(join(folder, '..data'));
    write('..data/p.cedar', 'p');
    symlinkSync(join('..data', 'p.cedar'), join(folder, 'p.cedar'));
    expect(await readPolicySource(folder)).toMatchObject({ policies: [{ name: 'p.cedar', text: 'p' }] });
  });

  it('reports each file that cannot be read', async () => {
    rmSync(join(folder, 'actions.yaml'));
    symlinkSync('nowhere', join(folder, 'a.cedar'));
    mkdirSync(join(folder, 'b.cedar'));
    write('c.cedar', new Uint8Array([0x2f, 0x2f, 0xff]));
    write('d.cedar', '// \0');
    write('e.cedar', Buffer.alloc(8 * 1024 * 1024 + 1, ' '));
    expect(await findings()).toEqual([
      'a.cedar:1:1: the file could not be read: ENOENT',
      'b.cedar:1:1: the file must be a regular file of at most 8388608 bytes',
      'c.cedar:1:1: the file must be UTF-8',
      'd.cedar:1:1: the file contains U+0000',
      'e.cedar:1:1: the file must be a regular file of at most 8388608 bytes',
      'actions.yaml:1:1: the file is missing',
    ]);
  });

  it('returns the error code of an unreadable folder', async () => {
    expect(await readPolicySource(join(folder, 'none'))).toEqual({ unreadable: 'ENOENT' });
    expect(await readPolicySource(join(folder, 'actions.yaml'))).toEqual({ unreadable: 'ENOTDIR' });
  });

  it('takes its disk as a parameter', async () => {
    const disk: PolicyDisk = {
      list: async () => Array.from({ length: 1001 }, (_, index) => `${index}.cedar`),
      read: async () => {
        throw Object.assign(new Error('x'), { code: 'EIO' });
      },
      stamp: async () => '',
      guard: async () => null,
    };
    const source = await readPolicySource('f', disk);
    if (!('findings' in source)) throw new Error('no findings');
    expect(source.findings).toHaveLength(1002);
    expect(source.findings[0]).toMatchObject({ file: 'f', message: 'a policy folder has at most 1000 files' });
    expect(source.findings[1]).toMatchObject({ message: 'the file could not be read: EIO' });
  });
});

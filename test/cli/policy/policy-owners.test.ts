import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { policyList } from '../../../src/cli/policy/policy-list.ts';
import { policyOwners } from '../../../src/cli/policy/policy-owners.ts';
import { policyValidateCommand } from '../../../src/cli/policy/policy-validate.ts';
import { exampleFolder } from '../example-folder.ts';
import type { ExampleFolder } from '../example-folder.ts';
import { MUTE, PROVES, scriptedEngine } from '../../builders/scripted-engine.ts';

const OWNERS = `owners:
  - team: platform
    reviewers: ['@acme/platform']
    paths: [policies/, owners.yaml, actions.yaml, entities.cedarentities.json]
    servers: ['*']
    actions: ['*']
    agents: ['*']
  - team: payments
    reviewers: ['@acme/payments']
    paths: [policies/payments.cedar]
    servers: [payments]
    actions: ['payments.*']
    agents: ['*']
`;

let example: ExampleFolder;
let file: string;
beforeAll(() => {
  example = exampleFolder();
  file = join(example.path, 'policies/payments.cedar');
  writeFileSync(join(example.path, 'owners.yaml'), OWNERS);
});
afterAll(() => example.remove());

describe('a folder with `owners.yaml`', () => {
  it('validates as long as each team speaks of what is its own (issue 43, point 2)', async () => {
    const { code, out } = await example.run(policyValidateCommand, example.path);
    expect({ code, out }).toEqual({ code: 0, out: [expect.stringMatching(/: valid$/)] });
    const before = readFileSync(file, 'utf8');
    writeFileSync(file, `${before}\n@id("sneaked") permit (principal, action, resource in Remit::Server::"files");\n`);
    const refused = await example.run(policyValidateCommand, example.path, '--json');
    writeFileSync(file, before);
    expect(refused.code).toBe(1);
    expect(JSON.parse(refused.out.join(''))).toMatchObject({
      valid: false,
      findings: [
        { policy: 'sneaked', message: 'the team `payments` may not speak of the action `files.list`' },
        { policy: 'sneaked', message: 'the team `payments` may not speak of the server `files`' },
      ],
    });
  });

  it('needs no programs for `--prove` if no head reaches beyond its team', async () => {
    const without = ['--prove', '--engine', join(dirname(example.path), 'none')];
    const { code, err } = await example.run(policyValidateCommand, example.path, ...without);
    expect([code, err]).toEqual([0, []]);
  });

  it('asks the solver about conditions with `--prove` (issue 43, point 2)', async () => {
    const before = readFileSync(file, 'utf8');
    const condition = 'when { resource in Remit::Server::"payments" }';
    writeFileSync(file, `${before}\n@id("sneaked") permit (principal, action, resource) ${condition};\n`);
    const engines = join(dirname(example.path), 'engines');
    const validate = (name: string, script: string) =>
      example.run(
        policyValidateCommand,
        example.path,
        '--prove',
        '--engine',
        scriptedEngine(join(engines, name), script),
        '--json',
      );
    // The programs are started by the search path of the process.
    const [proved, mute] = [await validate('proving', PROVES), await validate('mute', MUTE)];
    const bare = await example.run(policyValidateCommand, example.path, '--json');
    writeFileSync(file, before);
    expect([proved.code, proved.err]).toEqual([0, []]);
    expect([bare.code, mute.code]).toEqual([1, 1]);
    expect(JSON.parse(mute.out.join(''))).toMatchObject({
      findings: [
        { policy: 'sneaked', help: expect.stringMatching(/^the solver does not say: issue: /) },
        { policy: 'sneaked' },
      ],
    });
  });

  it('holds each file of the catalog and of entities to its team (issue 43, point 2)', async () => {
    const catalog = join(example.path, 'actions.yaml');
    const text = readFileSync(catalog, 'utf8');
    const at = [text.indexOf('  files:\n'), text.indexOf('  tickets:\n')] as const;
    mkdirSync(join(example.path, 'actions'));
    writeFileSync(catalog, text.slice(0, at[0]) + text.slice(at[1]));
    const own = join(example.path, 'actions/files.yaml');
    writeFileSync(own, `servers:\n${text.slice(...at)}`);
    const owners = (paths: string) =>
      writeFileSync(join(example.path, 'owners.yaml'), OWNERS.replace('policies/payments.cedar', paths));
    const validate = () => example.run(policyValidateCommand, example.path, '--json');
    const unowned = await validate();
    owners('policies/payments.cedar, actions/files.yaml');
    const foreign = await validate();
    rmSync(join(example.path, 'actions'), { recursive: true });
    writeFileSync(catalog, text);
    writeFileSync(join(example.path, 'owners.yaml'), OWNERS);
    expect([unowned.code, foreign.code]).toEqual([1, 1]);
    expect(JSON.parse(unowned.out.join(''))).toMatchObject({
      findings: [{ file: 'p/actions/files.yaml', message: 'no team owns this file' }],
    });
    expect(JSON.parse(foreign.out.join('')).findings).toContainEqual(
      expect.objectContaining({
        file: 'p/actions/files.yaml',
        line: 2,
        column: 3,
        message: 'the team `payments` may not speak of the server `files`',
      }),
    );
  });

  it('has an owner of each file that decides something (review of issue 43)', async () => {
    const files = ['enforcement.yaml', 'limits.yaml'].map((name) => join(example.path, name));
    for (const own of files) writeFileSync(own, '# nothing\n');
    writeFileSync(join(example.path, 'owners.yaml'), OWNERS.replace(/paths: \[policies\/,.*\]/, 'paths: [policies/]'));
    const { code, out } = await example.run(policyValidateCommand, example.path, '--json');
    for (const own of files) rmSync(own);
    writeFileSync(join(example.path, 'owners.yaml'), OWNERS);
    expect(code).toBe(1);
    const { findings } = JSON.parse(out.join('')) as {
      readonly findings: readonly { readonly file: string; readonly message: string }[];
    };
    const names = ['owners.yaml', 'actions.yaml', 'entities.cedarentities.json', 'enforcement.yaml', 'limits.yaml'];
    expect(findings).toEqual(
      names.map((name) => expect.objectContaining({ file: `p/${name}`, message: 'no team owns this file' })),
    );
  });

  it('names the team of each policy', async () => {
    const { out } = await example.run(policyList, example.path);
    expect(out).toContain('p/policies/payments.cedar:3:1: permit `payments-read`: owner payments');
    expect(out).toContain('p/policies/files.cedar:3:1: permit `files-read`: owner platform');
  });

  it('gives CODEOWNERS, and says whether a file has them', async () => {
    const { code, out } = await example.run(policyOwners, example.path, '--prefix', './cedar-policies');
    expect(code).toBe(0);
    expect(out.join('\n').split('\n').slice(1)).toEqual([
      '/cedar-policies/policies/ @acme/platform',
      '/cedar-policies/owners.yaml @acme/platform',
      '/cedar-policies/actions.yaml @acme/platform',
      '/cedar-policies/policies/payments.cedar @acme/payments',
      '/cedar-policies/entities.cedarentities.json @acme/platform',
    ]);
    const codeowners = join(dirname(example.path), 'CODEOWNERS');
    writeFileSync(codeowners, `* @acme/all\n${out.join('\n')}\n`);
    const check = ['--prefix', 'cedar-policies', '--check', codeowners];
    expect((await example.run(policyOwners, example.path, ...check)).code).toBe(0);
    writeFileSync(codeowners, '* @acme/all\n');
    expect((await example.run(policyOwners, example.path, ...check)).code).toBe(1);
  });

  it('sees a rule of CODEOWNERS that wins over its lines (review of issue 43)', async () => {
    const { out } = await example.run(policyOwners, example.path, '--prefix', 'cedar-policies');
    const [comment = '', ...lines] = out.join('\n').split('\n');
    const codeowners = join(dirname(example.path), 'CODEOWNERS');
    const checked = async (...written: readonly string[]) => {
      writeFileSync(codeowners, `${written.join('\n')}\n`);
      const args = ['--prefix', 'cedar-policies', '--check', codeowners];
      const checking = await example.run(policyOwners, example.path, ...args);
      return [checking.code, ...checking.out.map((line) => line.slice(codeowners.length + 2))];
    };
    const [first = '', ...others] = lines;
    const rest = ': the lines must be the last rules, together and in order';
    expect(await checked('* @acme/all', comment, ...lines, '', '# the end')).toEqual([0]);
    expect(await checked(comment, ...lines, '* @acme/all')).toEqual([1, `out of place: * @acme/all${rest}`]);
    expect(await checked(first, '*.cedar @acme/all', ...others)).toEqual([1, `out of place: *.cedar @acme/all${rest}`]);
    expect(await checked(...lines.toReversed())).toEqual([1, `out of place: ${first}${rest}`]);
    expect(await checked(...lines.slice(1))).toEqual([1, `missing: ${first}`]);
  });

  it('is no part of the set: its hash does not change', async () => {
    const hash = async () =>
      (
        JSON.parse((await example.run(policyValidateCommand, example.path, '--json')).out.join('')) as {
          readonly hash: string;
        }
      ).hash;
    const before = await hash();
    writeFileSync(join(example.path, 'owners.yaml'), OWNERS.replace('team: platform', 'team: base'));
    expect(await hash()).toBe(before);
  });

  it('refuses an `owners.yaml` that cannot be read', async () => {
    writeFileSync(join(example.path, 'owners.yaml'), 'owners: [{ team: x }]');
    expect((await example.run(policyOwners, example.path)).code).toBe(1);
    expect((await example.run(policyValidateCommand, example.path)).code).toBe(1);
    expect((await example.run(policyOwners, 'test')).code).toBe(2);
  });
});

import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { policySchema } from '../../../src/cli/policy/policy-schema.ts';
import { policyValidate } from '../../../src/cli/policy/policy-validate.ts';
import { freshCedar } from '../../../src/core/policy/cedar.ts';
import { exampleFolder } from '../example-folder.ts';
import type { ExampleFolder } from '../example-folder.ts';

let folder: ExampleFolder;
beforeEach(() => {
  folder = exampleFolder();
});
afterEach(() => folder.remove());

describe('remit policy schema', () => {
  it('prints the base schema with an action for each entry, whatever the policies', async () => {
    writeFileSync(join(folder.path, 'x.cedar'), 'permit');
    const { code, out, err } = await folder.run(policySchema, folder.path);
    expect([code, err]).toEqual([0, []]);
    expect(out.join('\n')).toMatch(
      /^\/\/ The entities and types that policies can name\.[^]*\n {2}action "payments\.create" in \[Action::"high"\] appliesTo \{[^]*args: \{"amount": Long, "currency"\?: String\},[^]*\}$/,
    );
  });

  it('prints Cedar JSON with --json', async () => {
    const { code, out } = await folder.run(policySchema, folder.path, '--json');
    expect(code).toBe(0);
    const { Remit } = JSON.parse(out.join(''));
    expect(Object.keys(Remit.actions)).toContain('payments.create');
    expect(Object.keys(Remit.entityTypes)).toContain('Agent');
  });

  it('writes a schema with which Cedar validates the policies, and reports when it is stale', async () => {
    const cedar = freshCedar();
    const text = (name: string): string => readFileSync(join(folder.path, name), 'utf8');
    expect(await folder.run(policySchema, folder.path, '--check')).toMatchObject({ code: 1, out: [] });
    expect(await folder.run(policySchema, folder.path, '--write')).toMatchObject({
      code: 0,
      out: ['p/remit.cedarschema: written'],
    });
    expect(await folder.run(policySchema, folder.path, '--check')).toMatchObject({ code: 0, err: [] });
    const names = readdirSync(join(folder.path, 'policies')).map((name) => `policies/${name}`);
    const policies = { staticPolicies: names.map(text).join('\n') };
    const validate = (schema: string) => cedar.validate({ schema, policies });
    expect(validate(text('remit.cedarschema'))).toMatchObject({ type: 'success', validationErrors: [] });
    expect(validate(text('base.cedarschema'))).not.toMatchObject({ type: 'success', validationErrors: [] });
    // It is not a part of the set.
    expect((await folder.run({ run: policyValidate }, folder.path)).out).toEqual([expect.stringMatching(/: valid$/)]);
    writeFileSync(join(folder.path, 'actions.yaml'), text('actions.yaml').replaceAll('files.list', 'files.show'));
    expect(await folder.run(policySchema, folder.path, '--check')).toEqual({
      code: 1,
      out: [],
      err: ['p/remit.cedarschema: does not match the catalog and the base schema; run `remit policy schema --write`'],
    });
    expect(await folder.run(policySchema, folder.path, '--check', '--write')).toMatchObject({ code: 2 });
  });

  it('makes `policy validate` warn if it is stale', async () => {
    await folder.run(policySchema, folder.path, '--write');
    const file = join(folder.path, 'actions.yaml');
    writeFileSync(file, readFileSync(file, 'utf8').replace('risk: high', 'risk: medium'));
    const { code, out } = await folder.run({ run: policyValidate }, folder.path);
    expect([code, out.at(-1)]).toEqual([0, expect.stringMatching(/: valid$/)]);
    expect(out.slice(0, -1).join('\n')).toContain(
      'p/remit.cedarschema:1:1: warning: the generated schema does not match the catalog and the base schema',
    );
    expect(out.join('\n')).toContain('run `remit policy schema --write`');
    expect((await folder.run(policySchema, folder.path, '--write')).code).toBe(0);
    expect((await folder.run({ run: policyValidate }, folder.path)).out).toHaveLength(1);
  });

  it('is shipped beside the base schema, and is up to date', async () => {
    expect(await folder.run(policySchema, 'cedar-policies', '--check')).toMatchObject({ code: 0, err: [] });
    // If there is another schema, the VS Code extension needs this setting.
    const settings = JSON.parse(readFileSync('cedar-policies/.vscode/settings.json', 'utf8'));
    expect(settings['cedar.schemaFile']).toBe('remit.cedarschema');
  });

  it.each([
    [
      'a base schema that does not parse',
      'base.cedarschema',
      'namespace Remit { entity ; }',
      ['p/base.cedarschema:1:26: unexpected token `;`: expected identifier'],
    ],
    [
      'a base schema without the namespace',
      'base.cedarschema',
      'entity A;',
      ['p/base.cedarschema:1:1: the base schema has no `namespace Remit { … }`'],
    ],
    [
      'a catalog with a mistake',
      'actions.yaml',
      'serverz: {}',
      ['p/actions.yaml:1:1: unknown key `serverz` in the catalog'],
    ],
  ])('reports %s', async (_name, file, text, lines) => {
    writeFileSync(join(folder.path, file), text);
    const { code, out, err } = await folder.run(policySchema, folder.path);
    expect([code, out]).toEqual([1, []]);
    expect(err).toEqual(expect.arrayContaining(lines));
  });

  it('refuses a path that is not a folder, and reports a missing file', async () => {
    expect(await folder.run(policySchema, 'no/such')).toEqual({
      code: 2,
      out: [],
      err: ['remit policy schema: the policy folder `no/such` could not be read: ENOENT'],
    });
    rmSync(join(folder.path, 'actions.yaml'));
    expect(await folder.run(policySchema, folder.path)).toEqual({
      code: 1,
      out: [],
      err: ['p/actions.yaml:1:1: the file is missing', '1 finding'],
    });
  });
});

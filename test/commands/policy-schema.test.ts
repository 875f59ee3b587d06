import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { policySchema } from '../../src/commands/policy-schema.ts';
import { exampleFolder } from './example-folder.ts';
import type { ExampleFolder } from './example-folder.ts';

let folder: ExampleFolder;
beforeEach(() => {
  folder = exampleFolder();
});
afterEach(() => folder.remove());

describe('remit policy schema', () => {
  it('prints the base with an action for each entry, whatever the policies are', async () => {
    writeFileSync(join(folder.path, 'x.cedar'), 'permit');
    const { code, out, err } = await folder.run(policySchema, folder.path);
    expect([code, err]).toEqual([0, []]);
    expect(out.join('\n')).toMatch(
      /^\/\/ What every policy can name\.[^]*\n {2}action "payments\.create" in \[Action::"high"\] appliesTo \{[^]*args: \{"amount": Long, "currency"\?: String\},[^]*\}$/,
    );
  });

  it('prints Cedar JSON with --json', async () => {
    const { code, out } = await folder.run(policySchema, folder.path, '--json');
    expect(code).toBe(0);
    const { Remit } = JSON.parse(out.join(''));
    expect(Object.keys(Remit.actions)).toContain('payments.create');
    expect(Object.keys(Remit.entityTypes)).toContain('Agent');
  });

  it.each([
    [
      'a base that does not parse',
      'base.cedarschema',
      'namespace Remit { entity ; }',
      ['p/base.cedarschema:1:26: unexpected token `;`: expected identifier'],
    ],
    [
      'a base without the namespace',
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
  ])('says what is wrong with %s', async (_name, file, text, lines) => {
    writeFileSync(join(folder.path, file), text);
    const { code, out, err } = await folder.run(policySchema, folder.path);
    expect([code, out]).toEqual([1, []]);
    expect(err).toEqual(expect.arrayContaining(lines));
  });

  it('refuses what is no folder, and misses a file', async () => {
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

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { policyFmt } from '../../../src/cli/policy/policy-fmt.ts';
import { exampleFolder } from '../example-folder.ts';
import type { ExampleFolder } from '../example-folder.ts';

let folder: ExampleFolder;
beforeEach(() => {
  folder = exampleFolder();
});
afterEach(() => folder.remove());

const ugly = `// head, with "quotes"


@id("a") // after the id
permit(principal,// who
 action==Remit::Action::"files.read", resource);   // after
@id("b")forbid(principal,action,resource)when{"//" == "no comment"};
// the end`;
const pretty = `// head, with "quotes"

@id("a") // after the id
permit (
  principal, // who
  action == Remit::Action::"files.read",
  resource
);   // after
@id("b")
forbid (principal, action, resource)
when { "//" == "no comment" };
// the end
`;

describe('remit policy fmt', () => {
  it('changes nothing in the shipped policies', async () => {
    expect(await folder.run(policyFmt, '--check')).toEqual({ code: 0, out: [], err: ['6 files, 0 would change'] });
  });

  it('formats each file, keeps comments and leaves nothing else behind', async () => {
    const file = join(folder.path, 'x.cedar');
    writeFileSync(file, ugly);
    const before = readdirSync(folder.path);
    expect(await folder.run(policyFmt, folder.path, '--check')).toEqual({
      code: 1,
      out: ['p/x.cedar'],
      err: ['7 files, 1 would change'],
    });
    expect(readFileSync(file, 'utf8')).toBe(ugly);
    expect(await folder.run(policyFmt, folder.path)).toEqual({
      code: 0,
      out: ['p/x.cedar'],
      err: ['7 files, 1 changed'],
    });
    expect(readFileSync(file, 'utf8')).toBe(pretty);
    expect(readdirSync(folder.path)).toEqual(before);
    expect(await folder.run(policyFmt, file)).toEqual({ code: 0, out: [], err: ['1 file, 0 changed'] });
  });

  it('does not change a file that does not parse, and formats the others', async () => {
    writeFileSync(join(folder.path, 'w.cedar'), 'permit (principal, action);\n');
    writeFileSync(join(folder.path, 'x.cedar'), ugly);
    const { code, out, err } = await folder.run(policyFmt, folder.path);
    expect([code, err]).toEqual([1, ['8 files, 1 changed, 1 finding']]);
    expect(out).toEqual([
      'p/x.cedar',
      'p/w.cedar:1:26: this policy is missing the `resource` variable in the scope',
      '  1 | permit (principal, action);',
      '    |                          ^',
      '  help: policy scopes must contain a `principal`, `action`, and `resource` element in that order',
    ]);
    expect(readFileSync(join(folder.path, 'w.cedar'), 'utf8')).toBe('permit (principal, action);\n');
  });

  it('prints one object with --json', async () => {
    writeFileSync(join(folder.path, 'x.cedar'), ugly);
    const { code, out } = await folder.run(policyFmt, folder.path, '--check', '--json');
    expect([code, JSON.parse(out.join(''))]).toEqual([1, { files: 7, changed: ['p/x.cedar'], findings: [] }]);
  });

  it.each([
    ['a missing path', ['no/such'], 'remit policy fmt: `no/such`: ENOENT'],
    ['an unknown option', ['--fast'], "remit policy fmt: Unknown option '--fast'"],
  ])('refuses %s', async (_name, args, message) => {
    expect(await folder.run(policyFmt, ...args)).toEqual({ code: 2, out: [], err: [message] });
  });
});

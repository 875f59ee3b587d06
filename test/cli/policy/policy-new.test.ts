import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { policyNew } from '../../../src/cli/policy/policy-new.ts';
import { policyValidateCommand } from '../../../src/cli/policy/policy-validate.ts';
import { policyFmt } from '../../../src/cli/policy/policy-fmt.ts';
import { exampleFolder } from '../example-folder.ts';
import type { ExampleFolder } from '../example-folder.ts';

let folder: ExampleFolder;
beforeEach(() => {
  folder = exampleFolder();
});
afterEach(() => folder.remove());

describe('remit policy new', () => {
  it('prints a permit with a condition for each argument', async () => {
    const { code, out, err } = await folder.run(policyNew, 'payments.create', folder.path, '--group', 'payers');
    expect([code, err]).toEqual([0, []]);
    expect(out.join('\n')).toBe(`
// payments: POST /v1/payments, risk high. Each condition is as narrow as its type allows: widen it.
@id("payments-create")
@description("who may do this, and why")
permit (
  principal in Remit::AgentGroup::"payers",
  action == Remit::Action::"payments.create",
  resource in Remit::Server::"payments"
)
when
{
  context.intent.purpose != "" &&
  context.args.amount <= 0 &&
  (if context.args has currency then context.args.currency == "" else true)
};`);
  });

  it('is valid and formatted for every action of the catalog', async () => {
    const actions = ['payments.list', 'payments.read', 'files.delete', 'tickets.mcp.session', 'tickets.create'];
    const agent = ['--agent', 'spiffe://acme.test/ns/agents/sa/planner'];
    const file = join(folder.path, 'new.cedar');
    for (const action of actions) {
      const { code, out } = await folder.run(policyNew, action, folder.path, ...agent);
      expect([action, code]).toEqual([action, 0]);
      appendFileSync(file, `${out.join('\n').trimStart()}\n`);
    }
    const valid = 'p: 24 policies (1 in shadow), 10 actions, 3 servers: valid';
    expect(await folder.run(policyValidateCommand, folder.path)).toEqual({ code: 0, out: [valid], err: [] });
    expect((await folder.run(policyFmt, '--check', file)).code).toBe(0);
  });

  it('uses a free id, or the given id', async () => {
    writeFileSync(join(folder.path, 'x.cedar'), '@id("files-list") permit (principal, action, resource);\n');
    const { out } = await folder.run(policyNew, 'files.list', folder.path, '--group', 'agents', '--json');
    expect(JSON.parse(out.join(''))).toMatchObject({
      id: 'files-list-new',
      action: 'files.list',
      risk: 'low',
      args: [],
    });
    const taken = await folder.run(policyNew, 'files.list', folder.path, '--group', 'agents', '--id', 'files-list');
    expect(taken).toMatchObject({ code: 1, out: [] });
    expect(taken.err[0]).toBe('the new policy:2:1: the id `files-list` is taken by the policy at p/x.cedar:1');
  });

  const groups = 'known: agents, payers';
  it.each([
    ['no action', [], 'expected an ACTION'],
    ['an unknown action', ['payments.steal', 'p'], 'the catalog has no action `payments.steal`'],
    ['neither agent nor group', ['files.list', 'p'], `expected one of \`--agent\` and \`--group\` (${groups})`],
    ['an unknown group', ['files.list', 'p', '--group', 'x'], `no group \`x\`; ${groups}`],
    ['no folder', ['files.list', 'no/such', '--group', 'x'], 'the policy folder `no/such` could not be read: ENOENT'],
  ])('refuses %s', async (_name, args, message) => {
    const words = args.map((word) => (word === 'p' ? folder.path : word));
    expect(await folder.run(policyNew, ...words)).toEqual({ code: 2, out: [], err: [`remit policy new: ${message}`] });
  });
});

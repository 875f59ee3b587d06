import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { intentFileFrom } from '../../../src/agent/task/intent.ts';
import { intentNew } from '../../../src/cli/intent/intent-new.ts';
import { examplePolicies } from '../../tools/policy/cases/folder.ts';
import { TASK_ID } from '../../tools/policy/cases/records.ts';
import { exampleFolder } from '../example-folder.ts';
import type { ExampleFolder } from '../example-folder.ts';
import { recordedUses } from '../recorded-uses.ts';

let folder: ExampleFolder;
beforeEach(() => {
  folder = exampleFolder();
});
afterEach(() => folder.remove());

const at = (name: string): string => join(dirname(folder.path), name);
const made = (...args: readonly string[]) => folder.run(intentNew, ...args);
const ofCatalog = (...args: readonly string[]) => made('--policies', folder.path, ...args);

describe('remit intent new', () => {
  it('writes an intent for actions of the catalog, to be edited', async () => {
    const { code, out, err } = await ofCatalog(
      '--action',
      'payments.read',
      '--action',
      'payments.create',
      '--purpose',
      'pay',
    );
    expect([code, err]).toEqual([0, []]);
    expect(out.join('\n')).toBe(`# What one task is for and what it may do at payments. Leave out what it does not need.
# \`remit intent check\` says what the issuer would grant of it.
purpose: "pay"
access:
  - resource: https://payments.acme.test
    actions:
      - payments.read # low risk, GET /v1/payments/{id}, id: string
    constraints:
      max_calls: 20 # calls of the whole task: raise or lower it
  - resource: https://payments.acme.test
    actions:
      - payments.create # high risk, POST /v1/payments, amount: long, currency?: string
    constraints:
      max_calls: 20 # calls of the whole task: raise or lower it
      max_amount: { argument: amount, limit: 0 } # the largest sum of \`amount\` over all calls: raise it
expires_in: 15m # the longest life of the task`);
    expect(intentFileFrom(out.join('\n'), 'new.yaml')).not.toHaveProperty('findings');
  });

  it('takes all actions of a server but its session', async () => {
    const { out } = await ofCatalog('--resource', 'https://tickets.acme.test');
    expect([...out.join('\n').matchAll(/^ {6}- (\S+)/gm)].map(([, id]) => id)).toEqual([
      'tickets.search-customers',
      'tickets.create',
    ]);
  });

  it('writes a file once, and through no link', async () => {
    const file = at('new.yaml');
    expect(await ofCatalog(file, '--action', 'files.list')).toEqual({ code: 0, out: [], err: [] });
    const text = readFileSync(file, 'utf8');
    const again = await ofCatalog(file, '--action', 'files.read');
    expect([again.code, again.err]).toEqual([2, [`remit intent new: \`${file}\` exists: it is not overwritten`]]);
    symlinkSync(at('elsewhere'), at('link'));
    writeFileSync(at('elsewhere'), 'mine');
    expect((await ofCatalog(at('link'), '--action', 'files.read')).code).toBe(2);
    expect([readFileSync(file, 'utf8'), readFileSync(at('elsewhere'), 'utf8')]).toEqual([text, 'mine']);
  });

  it.each<[string, readonly string[], RegExp]>([
    ['no source', [], /one of --policies FOLDER and --from-task ID is required$/],
    [
      'two sources',
      ['--policies', 'p', '--from-task', 'x'],
      /one of --policies FOLDER and --from-task ID is required$/,
    ],
    [
      'an action of a task',
      ['--from-task', 'x', '--action', 'a'],
      /--resource, --action and --purpose go with --policies$/,
    ],
    ['no folder', ['--policies', '/nowhere'], /the policy folder `\/nowhere` could not be read: /],
  ])('refuses %s', async (_name, args, message) => {
    const { code, err } = await made(...args);
    expect([code, err.join('\n')]).toEqual([2, expect.stringMatching(message)]);
  });

  it.each<[string, readonly string[], RegExp]>([
    [
      'several servers',
      [],
      /a task is for one resource: choose it with --resource, one of https:\/\/payments.acme.test, /,
    ],
    [
      'an unknown server',
      ['--resource', 'https://other.test'],
      /no server with actions has the resource `https:\/\/other.test`: /,
    ],
    [
      'a misspelt action',
      ['--action', 'payments.raed'],
      /no action `payments.raed` there; did you mean `payments.read`\?$/,
    ],
    [
      'an action of another server',
      ['--resource', 'https://files.acme.test', '--action', 'payments.read'],
      /no action `payments.read` there; it has files.list, files.read, files.delete$/,
    ],
  ])('refuses %s of a catalog', async (_name, args, message) => {
    const { code, err } = await ofCatalog(...args);
    expect([code, err.join('\n')]).toEqual([2, expect.stringMatching(message)]);
  });

  it('writes what a recorded task used', async () => {
    const state = recordedUses(dirname(folder.path), (await examplePolicies()).hash);
    const { code, out, err } = await made('--from-task', TASK_ID, '--state', state);
    expect([code, err]).toEqual([0, []]);
    const text = out.join('\n');
    expect(text).toContain('      - payments.create # 1 call\n      - payments.list # 1 call\n');
    expect(text).toContain('max_calls: 3 # 2 calls in the task, and half as many again');
    expect(text).toContain('# Denied once: payments.list: policy.not-permitted');
    expect(intentFileFrom(text, 'new.yaml')).not.toHaveProperty('findings');
    // The ledger alone has it too.
    expect((await made('--from-task', TASK_ID, '--ledger', join(dirname(state), 'ledger'))).out).toEqual(out);
    const other = await made('--from-task', TASK_ID.replace(/1$/, '2'), '--state', state);
    expect([other.code, other.err]).toEqual([
      1,
      [`remit intent new: the task \`${TASK_ID.replace(/1$/, '2')}\`: there is no record of its intent`],
    ]);
  });
});

import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { runObserve } from '../../../src/cli/observe.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { ran } from '../ledgers.ts';
import { dayFromNow, ledgerOf, policiesWith, seen } from './observing.ts';

const folder = testFolders();

const [a, b, c] = ['a', 'b', 'c'].map((name) => `spiffe://acme.test/ns/legacy/sa/${name}`) as [string, string, string];

const enforcement = `observe:
  - id: legacy
    agents: ['spiffe://acme.test/ns/legacy/*']
    servers: [files, '*.old.acme.test']
    until: ${dayFromNow(30)}
    owner: team-files
    because: CHG-1

  - id: named
    agents: [${a}, ${b}]
    until: ${dayFromNow(30)}
    owner: team-files
    because: CHG-2
`;

const unknown = { action: null, path: '/x', shape: { protocol: 'http', query: [] } as const };

const records = [
  seen(a, 1),
  seen(b, 2),
  seen(c, 24 * 60),
  seen(b, 3, { ...unknown, host: 'one.old.acme.test' }),
  seen(b, 3, { ...unknown, host: 'two.old.acme.test' }),
  seen('spiffe://acme.test/ns/others/sa/x', 3, { entry: 'other' }),
];

const given = async () => {
  const policies = await policiesWith(folder(), enforcement);
  const ledger = ledgerOf(folder(), records);
  const file = join(policies, 'enforcement.yaml');
  const end = async (...args: readonly string[]) =>
    ran(runObserve, 'end', ...args, '--policies', policies, '--ledger', ledger);
  return { policies, file, end };
};

const changed = (out: string): readonly string[] =>
  out.split('\n').filter((line) => /^[+-]/.test(line) && !/^[+-]{3} /.test(line));

describe('remit observe end', () => {
  it('prints the change that takes an entry out, and writes nothing', async () => {
    const { policies, file, end } = await given();
    const ended = await end('legacy');
    expect(ended).toMatchObject({ exit: 0 });
    expect(ended.err).toContain('the entry `legacy` goes: all its calls are enforced');
    expect(changed(ended.out)).toHaveLength(7);
    expect(await readFile(file, 'utf8')).toBe(enforcement);
    execFileSync('git', ['apply', '-'], { cwd: policies, input: ended.out });
    expect(await readFile(file, 'utf8')).toBe(`observe:\n${enforcement.slice(enforcement.indexOf('  - id: named'))}`);
  });

  it('takes an agent out of every entry that covers it; a pattern becomes the agents that records show', async () => {
    const { end } = await given();
    const ended = await end('--agent', a);
    expect(ended.exit).toBe(0);
    expect(changed(ended.out)).toEqual([
      "-    agents: ['spiffe://acme.test/ns/legacy/*']",
      `+    agents: [${b}, ${c}]`,
      `-    agents: [${a}, ${b}]`,
      `+    agents: [${b}]`,
    ]);
    expect(ended.err).toContain(
      'in `legacy` spiffe://acme.test/ns/legacy/* becomes the 2 agents that records of 90 days show; all others are enforced too',
    );
  });

  it('takes an agent out of an entry, without reading records if it is named', async () => {
    const { policies } = await given();
    const ended = await ran(runObserve, 'end', 'named', '--agent', a, '--policies', policies, '--ledger', '/nowhere');
    expect(ended).toMatchObject({ exit: 0, err: '' });
    expect(changed(ended.out)).toEqual([`-    agents: [${a}, ${b}]`, `+    agents: [${b}]`]);
  });

  it('takes a server out: of a pattern of hosts, and of an entry that named none', async () => {
    const { end } = await given();
    expect(changed((await end('legacy', '--server', 'files')).out)).toEqual([
      "-    servers: [files, '*.old.acme.test']",
      "+    servers: ['*.old.acme.test']",
    ]);
    expect(changed((await end('legacy', '--server', 'one.old.acme.test')).out)).toEqual([
      "-    servers: [files, '*.old.acme.test']",
      '+    servers: [files, two.old.acme.test]',
    ]);
    const named = await end('named', '--server', 'files');
    expect(changed(named.out)).toEqual(['+    servers: [one.old.acme.test, two.old.acme.test]']);
    expect(named.err).toContain('every server becomes the 2 servers that records');
  });

  it('takes the entry out when its last agent goes, and writes with --write', async () => {
    const { file, end } = await given();
    expect(await end('named', '--agent', a, '--write')).toMatchObject({ exit: 0 });
    expect(await readFile(file, 'utf8')).toContain(`agents: [${b}]`);
    const last = await end('named', '--agent', b, '--write');
    expect(last.err).toContain('the entry `named` goes');
    expect(await readFile(file, 'utf8')).not.toContain('named');
    expect(await readFile(file, 'utf8')).toContain('id: legacy');
  });

  it.each([
    ['an entry that is not there', ['nobody'], 1, 'there is no entry `nobody`: the entries are `legacy`, `named`'],
    ['an agent that no entry covers', ['--agent', 'spiffe://acme.test/x'], 1, 'no such entry is of the agent'],
    ['an agent of another entry', ['named', '--agent', c], 1, 'no such entry is of the agent'],
    ['a server that the entry has not', ['legacy', '--server', 'payments'], 1, 'the entry has no server `payments`'],
    ['neither an entry nor an agent', [], 2, 'the id of an entry is required, or --agent'],
    ['a server without an entry', ['--server', 'files'], 2, 'the id of an entry is required'],
    ['both', ['legacy', '--agent', a, '--server', 'files'], 2, 'exclude each other'],
    ['no SPIFFE ID', ['--agent', 'me'], 2, '--agent must be a SPIFFE ID'],
  ])('refuses %s', async (_name, args, exit, message) => {
    const { end, file } = await given();
    const ended = await end(...args, '--write');
    expect(ended).toMatchObject({ exit, out: '' });
    expect(ended.err).toContain(message);
    expect(await readFile(file, 'utf8')).toBe(enforcement);
  });

  it('refuses an entry that would have more names than an entry can have', async () => {
    const policies = await policiesWith(folder(), enforcement);
    const many = Array.from({ length: 70 }, (_, n) => seen(`spiffe://acme.test/ns/legacy/sa/many-${n}`, 1));
    const ledger = ledgerOf(folder(), many);
    const ended = await ran(runObserve, 'end', '--agent', a, '--policies', policies, '--ledger', ledger);
    expect(ended).toMatchObject({ exit: 2, out: '' });
    expect(ended.err).toContain('the entry `legacy` would name 70 agents, at most 64');
  });

  it('refuses a folder with findings, and a missing name of a folder', async () => {
    const { end, file } = await given();
    await writeFile(file, 'observe:\n  - id: x\n');
    expect(await end('x')).toMatchObject({ exit: 2, out: '' });
    const nowhere = await ran(runObserve, 'end', 'x', '--ledger', '/nowhere');
    expect(nowhere.err).toContain('name the policy folder with --policies');
  });
});

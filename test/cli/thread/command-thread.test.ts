import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { runInThread } from '../../../src/cli/thread/command-thread.ts';
import { daily, ledgerOf } from '../observe/observing.ts';

const AGENT = 'spiffe://acme.test/ns/legacy/sa/biller';
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'remit-thread-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function ran(
  name: Parameters<typeof runInThread>[0],
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
) {
  const said = { out: [] as string[], err: [] as string[], progress: [] as string[] };
  const code = await runInThread(name, args, {
    out: (line) => void said.out.push(line),
    err: (line) => void said.err.push(line),
    progress: (line) => void said.progress.push(line),
    environment,
  });
  return { ...said, code };
}

it('runs a command of many records in a thread, to its lines and its exit code', async () => {
  const ledger = ledgerOf(folder, daily(AGENT, 8));
  const { code, out, err, progress } = await ran('observe', ['--ledger', ledger, '--agent', AGENT]);
  expect(code).toBe(0);
  expect(out.join('\n')).toContain(AGENT);
  expect(err).toEqual([expect.stringContaining('no policy folder is known')]);
  expect(progress.at(-1)).toBe('');
});

it.each(['learn', 'inventory', 'observe'] as const)('gives `remit %s` what a refusal says', async (name) => {
  const args = name === 'learn' ? ['--out', join(folder, 'learnt')] : [];
  const { code, err } = await ran(name, [...args, '--ledger', join(folder, 'none')]);
  expect(code).toBe(2);
  expect(err[0]).toMatch(new RegExp(`^remit ${name}: `));
});

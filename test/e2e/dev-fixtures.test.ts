import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { ToolServer } from '../../src/dev/upstream.ts';
import { clientFolder } from '../parts/clients.ts';
import { testFolders } from '../builders/test-folders.ts';
import { clientPart, describeWith, envoyPart } from '../parts.ts';
import { ran, remit } from './process.ts';

const root = resolve(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'deploy/guide/start/test-fixtures.md'), 'utf8');
const PAGE_PORT = '127.0.0.1:8000';

/** The snippets of the page in a language, for the address of our server. */
const snippets = (language: string, at: string): readonly string[] =>
  [...page.matchAll(/^```(\w+)\n([^]*?)^```$/gm)].flatMap(([, name, code = '']) =>
    name === language ? [code.replaceAll(PAGE_PORT, at)] : [],
  );

const folder = testFolders();

it('refuses an upstream that is no address, and an upstream that the catalog does not name', async () => {
  const bad = await ran(['dev', '--upstream', 'payments']);
  expect([bad.code, bad.err]).toEqual([
    2,
    'remit dev: `--upstream payments` must be NAME=HOST:PORT, such as payments=127.0.0.1:8000\n',
  ]);
  const twice = await ran(['dev', '--upstream', 'a=b:1', '--upstream', 'a=b:2']);
  expect([twice.code, twice.err]).toEqual([2, 'remit dev: `--upstream` names `a` twice\n']);
});

describeWith(envoyPart(), 'remit dev in front of a server of the user', (envoy) => {
  let payments: ToolServer;
  let at = '';
  let work = '';
  let environment: Record<string, string> = {};
  beforeAll(async () => {
    payments = await ToolServer.start('payments');
    at = `${payments.address.host}:${payments.address.port}`;
    work = folder();
    cpSync(join(root, 'cedar-policies'), join(work, 'my-policies'), { recursive: true });
    const bin = join(work, 'bin');
    mkdirSync(bin);
    symlinkSync(join(root, 'dist/main.js'), join(bin, 'remit'));
    const path = [bin, join(root, 'node_modules/.bin'), process.env['PATH'] ?? ''].join(delimiter);
    environment = { ENVOY_BIN: envoy, TMPDIR: work, PATH: path };
  });
  afterAll(() => payments.close());

  it('prints one line of JSON, with a policy folder relative to the folder where it is called', async () => {
    const args = ['dev', '--policies', 'my-policies', '--upstream', `payments=${at}`, '--json'];
    const running = remit(args, environment, ['env', '-C', work]);
    await running.said('"envoy"');
    const [line = '', ...rest] = running.out().trimEnd().split('\n');
    expect(rest).toEqual([]);
    expect(JSON.parse(line)).toMatchObject({
      envoy: expect.stringMatching(/^https:\/\/127\.0\.0\.1:\d+$/),
      issuer: expect.stringMatching(/^https:\/\/localhost:\d+$/),
      resources: { payments: 'https://payments.acme.test' },
      agents: { planner: { id: 'spiffe://acme.test/ns/agents/sa/planner' } },
    });
    running.child.kill('SIGTERM');
    expect(await running.exit).toBe(0);
  });

  it('says which servers the catalog has', async () => {
    const { code, err } = await ran(['dev', '--upstream', 'ledger=127.0.0.1:1'], environment);
    expect([code, err]).toEqual([
      2,
      expect.stringMatching(/^remit: the catalog has no server `ledger`; it has .*payments/m),
    ]);
  });

  describeWith(clientPart('pytest'), 'the fixture for pytest', (packages) => {
    it('runs the test of the page against the real server', async () => {
      const [fixture = '', test = ''] = snippets('python', at);
      expect(fixture.trimEnd().split('\n').length).toBeLessThanOrEqual(10);
      writeFileSync(join(work, 'conftest.py'), fixture);
      writeFileSync(join(work, 'test_payments.py'), test);
      const tested = () =>
        promisify(execFile)('python3', ['-m', 'pytest', '-q', '-p', 'no:cacheprovider'], {
          cwd: work,
          env: { ...process.env, ...environment, PYTHONPATH: packages },
        }).then(
          ({ stdout }) => stdout,
          ({ stdout = '' }: { readonly stdout?: string }) => stdout,
        );
      // On a loaded machine its one call may meet the deadline of a check, 0.5 s.
      const first = await tested();
      expect(first.includes('503') ? await tested() : first).toMatch(/1 passed/);
      expect(payments.received().map(({ method, path }) => `${method} ${path}`)).toContain('GET /v1/payments/p-1');
    });
  });

  describeWith(clientPart('vitest'), 'the fixture for vitest', (packages) => {
    it('runs the test of the page', async () => {
      const [fixture = '', test = ''] = snippets('ts', at);
      expect(fixture.trimEnd().split('\n').length).toBeLessThanOrEqual(10);
      writeFileSync(join(work, 'remit.ts'), fixture);
      writeFileSync(join(work, 'payments.test.ts'), test);
      symlinkSync(join(clientFolder('vitest'), 'node_modules'), join(work, 'node_modules'));
      const vitest = join(packages, 'node_modules/vitest/vitest.mjs');
      const { stdout } = await promisify(execFile)(process.execPath, [vitest, 'run', '--root', work], {
        cwd: work,
        env: { ...process.env, ...environment, NODE_OPTIONS: '', NO_COLOR: '1' },
        timeout: 240_000,
      });
      expect(stdout).toMatch(/Tests +1 passed/);
    });
  });
});

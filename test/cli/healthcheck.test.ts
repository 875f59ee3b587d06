import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { AdminServer } from '../../src/serve/admin/server.ts';
import { healthcheckCommand } from '../../src/cli/healthcheck.ts';
import { commandRun } from '../builders/command-run.ts';
import { testFolders } from '../builders/test-folders.ts';

const folder = testFolders();

const run = (args: readonly string[], environment: Readonly<Record<string, string>> = {}) =>
  commandRun(healthcheckCommand.run, args, { environment });

const config = (listen: string): string => {
  const file = join(folder(), 'remit.yaml');
  writeFileSync(file, `trustDomains: [acme.test]\nadmin: { listen: '${listen}' }\n`);
  return file;
};

describe('remit healthcheck', () => {
  let missing: string | null = null;
  let admin: AdminServer;
  let port = 0;
  beforeEach(async () => {
    missing = null;
    admin = new AdminServer([{ name: 'policy', problem: () => missing }], {
      scrape: () => ({ contentType: 'text/plain', body: '' }),
      trial: () => ({}),
    });
    port = await admin.listen({ host: '127.0.0.1', port: 0 });
  });
  afterEach(() => admin.close());

  it('is 0 if it is ready, 1 with what is missing if it is not', async () => {
    const url = `http://127.0.0.1:${port}`;
    expect(await run(['--admin', url])).toEqual({ code: 0, out: ['ok'], err: [] });
    missing = 'no policies \u001b[31m';
    const { code, err } = await run(['--admin', url]);
    expect(code).toBe(1);
    expect(err).toEqual([`remit healthcheck: \`${url}\` answered 503: policy: no policies ?[31m`]);
    expect((await run(['--admin', url, '--live'])).code).toBe(0);
  });

  it.each(['127.0.0.1', '0.0.0.0'])('finds the address %s in the configuration', async (host) => {
    expect((await run(['--config', config(`${host}:${port}`)])).code).toBe(0);
  });

  it('takes the variable that overrides the configuration', async () => {
    const file = config('127.0.0.1:1');
    expect((await run(['--config', file])).code).toBe(1);
    expect((await run(['--config', file], { REMIT_ADMIN_LISTEN: `127.0.0.1:${port}` })).code).toBe(0);
  });

  it('is 1 if the server accepts and never answers', async () => {
    const silent = createServer((socket) => void socket.on('error', () => undefined));
    await new Promise<void>((done) => void silent.listen(0, '127.0.0.1', done));
    // Safe: it listens on a port.
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    expect(await run(['--admin', url])).toEqual({
      code: 1,
      out: [],
      err: [`remit healthcheck: \`${url}\` did not answer`],
    });
    silent.close();
  });

  it.each([
    ['an unknown option', ['--nonsense'], /nonsense/],
    ['both addresses', ['--admin', 'http://127.0.0.1:1', '--config', 'x'], /use --admin or --config, not both/],
    [
      'no such file',
      ['--config', '/nowhere/remit.yaml'],
      /cannot read the configuration `\/nowhere\/remit.yaml`: ENOENT/,
    ],
  ])('is 2 for %s', async (_name, args, message) => {
    const { code, err } = await run(args);
    expect(code).toBe(2);
    expect(err.join('\n')).toMatch(message);
  });

  it.each([
    ['an invalid configuration', 'unix:/run/remit/admin.sock', /admin\.listen.*host:port/],
    ['a port that is unknown', '127.0.0.1:0', /`admin.listen` has port 0/],
  ])('is 2 for %s', async (_name, listen, message) => {
    const { code, err } = await run(['--config', config(listen)]);
    expect(code).toBe(2);
    expect(err.join('\n')).toMatch(message);
  });
});

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { AdminServer } from '../../src/serve/admin/server.ts';
import { fleetCommand } from '../../src/cli/fleet.ts';
import type { SidecarState } from '../../src/sidecar/state/sidecar-state.ts';
import { digestOf, keyOf, serving } from '../authority/feed/serving.ts';
import type { Serving } from '../authority/feed/serving.ts';
import { commandRun } from '../builders/command-run.ts';
import { testFolders } from '../builders/test-folders.ts';
import { until } from '../until.ts';
import { openSidecar } from '../builders/sidecar-state.ts';

const folder = testFolders();

const run = (...args: readonly string[]) => commandRun(fleetCommand.run, args);

describe('remit fleet', () => {
  let at = '';
  let authority: Serving;
  let sidecar: SidecarState;
  let admin: AdminServer;
  let url = '';
  let waiting = 0;

  beforeEach(async () => {
    at = folder();
    authority = await serving(at);
    admin = new AdminServer([], {
      scrape: () => ({ contentType: 'text/plain', body: '' }),
      trial: () => ({}),
      fleet: async () => ({ ...authority.report(), database: null }),
    });
    url = `http://127.0.0.1:${await admin.listen({ host: '127.0.0.1', port: 0 })}`;
    sidecar = openSidecar([`unix:${join(at, 'authority.sock')}`], {
      status: () => ({
        policy_set: 'sha-256:abc',
        policy_generation: 3,
        unacknowledged_records: waiting,
        last_error: 'a \u001b[31mred error',
      }),
    });
    await until(() => sidecar.problem() === null, { what: 'a lease' });
  });
  afterEach(async () => {
    sidecar.close();
    await admin.close();
    await authority.close();
  });

  it('shows each sidecar with its lease, tasks, policies and last error', async () => {
    await authority.declared(1);
    await sidecar.states.open(keyOf(1), digestOf(1));
    await until(() => (authority.report().sidecars[0]?.policy_generation ?? 0) > 0, { what: 'a status' });
    const { code, out } = await run('--admin', url);
    expect(code).toBe(0);
    expect(out[0]).toMatch(/^authority 0\.2\.0: change 0 of \S+, lease 2 s$/);
    expect(out[1]).toMatch(
      /^connected {2}lease [\d.]+ s +behind 0 +1 task +0 records waiting +0\.2\.0 +sha-256:abc \(3\) {2}unix \S+ {2}last error: a .*red error$/,
    );
    expect(out[1]).not.toContain('\u001b');
    expect(out[2]).toBe('1 sidecar');
  });

  it('gives the same as JSON, and lists a sidecar that has gone until its lease is over', async () => {
    waiting = 7;
    await until(() => authority.report().sidecars[0]?.unacknowledged_records === 7, { what: 'a status' });
    const { out } = await run('--admin', url, '--json');
    expect(JSON.parse(out.join(''))).toMatchObject({
      lease_ms: 2_000,
      problem: null,
      sidecars: [{ peer: 'unix', connected: true, behind: 0, unacknowledged_records: 7, policy_generation: 3 }],
    });
    sidecar.close();
    await until(() => authority.report().sidecars[0]?.connected === false, { what: 'a sidecar that has gone' });
    expect((await run('--admin', url)).out[1]).toMatch(/^gone/);
    await until(() => authority.report().sidecars.length === 0, { what: 'the end of the lease' });
    expect((await run('--admin', url)).out.at(-1)).toBe('0 sidecars');
  });

  it('says what is wrong: no authority, no answer, no URL, an authority that serves nobody', async () => {
    const plain = new AdminServer([], { scrape: () => ({ contentType: 'text/plain', body: '' }), trial: () => ({}) });
    const port = await plain.listen({ host: '127.0.0.1', port: 0 });
    try {
      expect(await run('--admin', `http://127.0.0.1:${port}`)).toEqual({
        code: 2,
        out: [],
        err: [
          `remit fleet: \`http://127.0.0.1:${port}\` answered 404: this process is no authority: \`authority.listen\` is not set`,
        ],
      });
    } finally {
      await plain.close();
    }
    expect((await run('--admin', 'x')).err).toEqual(['remit fleet: invalid URL `x`']);
    expect((await run('--admin', 'http://127.0.0.1:1')).err).toEqual([
      'remit fleet: `http://127.0.0.1:1` did not answer',
    ]);
    expect((await run('--nothing')).code).toBe(2);
    const halted = createServer((_request, response) => {
      response.end(JSON.stringify({ ...authority.report(), problem: 'commits were lost' }));
    });
    await new Promise<void>((resolve) => halted.listen(0, '127.0.0.1', resolve));
    try {
      const { code, out } = await run('--admin', `http://127.0.0.1:${(halted.address() as AddressInfo).port}`);
      expect([code, out[1]]).toEqual([1, 'serves no sidecar: commits were lost']);
    } finally {
      await new Promise((resolve) => halted.close(resolve));
    }
  });
});

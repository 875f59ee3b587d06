import { existsSync, lstatSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { refusalsFrom } from '../../../src/sidecar/envoy/authorization.ts';
import { AuthorizationServer } from '../../../src/sidecar/envoy/server.ts';
import type { ExtAuthzServerOptions } from '../../../src/sidecar/envoy/server-options.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { closedAfterEach } from '../../builders/with-closers.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { until } from '../../until.ts';
import { checkClient } from './client.ts';
import { oneByOne } from './handlers.ts';

const folder = testFolders();
const closing = closedAfterEach();

const ACCESS = { mode: 0o660, groupId: null, takesOver: true };
const request = Buffer.from('request');
const options = { ...systemPorts, refuse: refusalsFrom({ response: { helpUrl: null }, newDecisionId: () => 'd-1' }) };

/** A server that answers with its name, at a socket that it takes over. */
async function serving(
  name: string,
  path: string,
  change: Partial<ExtAuthzServerOptions> = {},
): Promise<AuthorizationServer> {
  const server = new AuthorizationServer(
    oneByOne(async () => Buffer.from(name)),
    { ...options, ...change },
  );
  closing.push(() => server.close(1_000));
  expect(await server.listen([`unix:${path}`], ACCESS)).toEqual([`unix:${path}`]);
  return server;
}

/** Looks as often as readiness is looked at, until the socket is there. */
const bound = (server: AuthorizationServer, path: string): Promise<unknown> =>
  until(() => {
    server.setServing(true);
    return existsSync(path);
  });

/** Who answers a new connection. */
async function answerer(path: string): Promise<string> {
  const client = checkClient(`unix:${path}`);
  try {
    return String(await client.check(request));
  } finally {
    client.close();
  }
}

it('leaves the socket to the process that serves it until it is ready, then takes it over and no call fails', async () => {
  const place = folder();
  const path = join(place, 'check.sock');
  const old = await serving('old', path);
  old.setServing(true);
  const next = await serving('new', path);
  expect(await answerer(path)).toBe('old');
  const kept = checkClient(`unix:${path}`);
  closing.push(kept.close);
  expect(String(await kept.check(request))).toBe('old');

  next.setServing(true);
  await until(async () => (await answerer(path)) === 'new');
  expect(lstatSync(path).mode & 0o777).toBe(0o660);
  expect(readdirSync(place)).toEqual(['check.sock']);
  // Who is connected stays with the old process until that ends, and its end leaves the socket of the new one.
  expect(String(await kept.check(request))).toBe('old');
  await old.close(1_000);
  expect(String(await kept.check(request))).toBe('new');
});

it('takes the place of a process that was killed at once, and removes its own socket at the end', async () => {
  const path = join(folder(), 'alone.sock');
  const server = await serving('alone', path);
  expect(await answerer(path)).toBe('alone');
  await server.close(1_000);
  expect(existsSync(path)).toBe(false);
});

it('binds its socket anew if the former process, which does not know of this, removes it by its path', async () => {
  const path = join(folder(), 'removed.sock');
  const server = await serving('new', path);
  server.setServing(true);
  rmSync(path);
  await bound(server, path);
  expect(await answerer(path)).toBe('new');
});

it('binds it anew with waits that grow, and with one listening socket, if somebody goes on removing it (issue 37, found)', async () => {
  const path = join(folder(), 'again.sock');
  let aheadMs = 0;
  const rebound: string[] = [];
  const server = await serving('new', path, {
    monotonicMs: () => systemPorts.monotonicMs() + aheadMs,
    onRebound: (address, times) => rebound.push(`${address} ${times}`),
  });
  server.setServing(true);
  const kept = checkClient(`unix:${path}`);
  closing.push(kept.close);
  // The first time at once; then after 1 s, 2 s, 4 s and so on, up to a minute.
  for (const waitMs of [0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]) {
    expect(String(await kept.check(request))).toBe('new');
    rmSync(path);
    for (let n = waitMs > 0 ? 2 : 0; n > 0; n -= 1) {
      server.setServing(true);
      await new Promise(setImmediate);
    }
    expect(existsSync(path)).toBe(false);
    aheadMs += waitMs;
    await bound(server, path);
  }
  expect(rebound).toEqual(Array.from({ length: 9 }, (_, n) => `unix:${path} ${n + 1}`));
  expect(await answerer(path)).toBe('new');
  const listening = readFileSync('/proc/net/unix', 'utf8')
    .split('\n')
    .filter((line) => line.includes(path) && line.split(' ')[3] === '00010000');
  expect(listening).toHaveLength(1);
});

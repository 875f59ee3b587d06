import { existsSync, lstatSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, expect, it } from '@jest/globals';
import { refusalsFrom } from '../../src/envoy/authorization.ts';
import { AuthorizationServer } from '../../src/envoy/server.ts';
import { systemPorts } from '../../src/runtime/ports.ts';
import { scratch } from '../builders/scratch.ts';
import { until } from '../until.ts';
import { checkClient } from './client.ts';
import { oneByOne } from './handlers.ts';

const { folder, remove } = scratch();
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});
afterAll(remove);

const ACCESS = { mode: 0o660, groupId: null, takesOver: true };
const request = Buffer.from('request');
const options = { ...systemPorts, refuse: refusalsFrom({ response: { helpUrl: null }, newDecisionId: () => 'd-1' }) };

/** A server that answers with its name, at a socket that it takes over. */
async function serving(name: string, path: string): Promise<AuthorizationServer> {
  const server = new AuthorizationServer(
    oneByOne(async () => Buffer.from(name)),
    options,
  );
  closing.push(() => server.close(1_000));
  expect(await server.listen([`unix:${path}`], ACCESS)).toEqual([`unix:${path}`]);
  return server;
}

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

it('binds its socket anew where the former process, which does not know of this, removes it by its path', async () => {
  const path = join(folder(), 'removed.sock');
  const server = await serving('new', path);
  server.setServing(true);
  rmSync(path);
  // As each look at readiness does.
  server.setServing(true);
  await until(() => existsSync(path));
  expect(await answerer(path)).toBe('new');
});

import { beforeAll, describe, expect, it } from '@jest/globals';
import { request } from 'node:https';
import { IssuerServer } from '../../../../src/authority/issuer/server.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { type Bench, startBench } from '../bench.ts';
import { newTask, setHeaders, setOf, signalServices, taskNow } from './transmitter.ts';

const folder = testFolders(async () => {
  await listener.close(1_000);
  await bench.close();
});
let bench: Bench;
let listener: IssuerServer;
let port: number;
beforeAll(async () => {
  bench = await startBench(folder(), { signals: signalServices() });
  listener = new IssuerServer({ services: bench.services, tls: bench.tls, limits: bench.limits, serves: 'signals' });
  ({ port } = await listener.listen('127.0.0.1', 0));
});

/** The status of a request without a client certificate. */
const statusOf = (method: string, path: string, body?: string, at = { port }): Promise<number> =>
  new Promise((resolve, reject) => {
    const { bundlePem: ca } = bench.authority;
    const sent = request(
      { host: '127.0.0.1', ...at, method, path, ca, servername: 'issuer.acme.test', agent: false, headers: setHeaders },
      (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      },
    );
    sent.on('error', reject);
    sent.end(body);
  });

describe('an IssuerServer that serves signals only', () => {
  it('accepts a signal from a transmitter without a certificate', async () => {
    const { task } = newTask(bench.store, { subject: 'alice' });
    expect(await statusOf('POST', '/signals', setOf())).toBe(202);
    expect(taskNow(bench.store, task).state).toBe('revoked');
  });

  it('refuses tokens of unknown signers', async () => {
    expect(await statusOf('POST', '/signals', 'hello')).toBe(400);
  });

  it.each([
    ['POST', '/oauth/token'],
    ['GET', '/.well-known/jwks.json'],
    ['GET', '/.well-known/oauth-authorization-server'],
    ['PUT', '/tasks/0198c0de-0000-7000-8000-000000000001/context'],
    ['GET', '/tasks/0198c0de-0000-7000-8000-000000000001'],
  ])('has nothing at %s %s', async (method, path) => {
    expect(await statusOf(method, path)).toBe(404);
  });

  it('applies the limits per address', async () => {
    const refused: string[] = [];
    const slow = new IssuerServer({
      services: bench.services,
      tls: bench.tls,
      limits: { ...bench.limits, withdrawalsPerSecondPerClient: 1 },
      serves: 'signals',
      onRefused: (bound, client) => refused.push(`${bound} ${client}`),
    });
    const { port: slowPort } = await slow.listen('127.0.0.1', 0);
    const at = { port: slowPort };
    expect(await statusOf('POST', '/signals', 'hello', at)).toBe(400);
    expect(await statusOf('POST', '/signals', 'hello', at)).toBe(429);
    expect(refused).toEqual(['client-rate 127.0.0.1']);
    expect(await statusOf('POST', '/signals', 'hello')).toBe(400);
    await slow.close(1_000);
  });
});

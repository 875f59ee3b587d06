import { chmod, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CreateBucketCommand, DeleteBucketCommand } from '@aws-sdk/client-s3';
import { afterEach, beforeAll, expect, it } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { FaultProxy } from '../fault-proxy.ts';
import { freePorts } from '../free-port.ts';
import { startSeaweedfs } from '../authority/records/seaweedfs.ts';
import { es256Key, jwksOf } from '../builders/tokens.ts';
import { describeWith, seaweedfsPart } from '../parts.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { soundSettings, soundSvid } from './sound-settings.ts';
import { ran, remit } from './process.ts';
import type { Running } from './process.ts';

const ended = async ({ child, exit }: Running): Promise<number | string> => {
  child.kill('SIGTERM');
  return exit;
};

// Issue 37, point 6: an authority was ready although nothing of its sidecars could be kept, and they denied once their logs were full.
describeWith(seaweedfsPart(), 'an authority whose bucket of records is away', (weed) => {
  const scratch = testFolder(async () => {
    await link.close();
    await store.stop();
  });
  let store: Awaited<ReturnType<typeof startSeaweedfs>>;
  let link: FaultProxy;
  let admin = 0;
  let file = '';
  let running: Running | null = null;
  beforeAll(async () => {
    const { folder } = scratch;
    await chmod(folder, 0o755);
    store = await startSeaweedfs(weed, await mkdtemp(join(folder, 'seaweedfs-')));
    link = await FaultProxy.start(store.port);
    const [http = 0, grpc = 0] = await freePorts(2);
    admin = http;
    file = join(folder, 'remit.yaml');
    const settings = {
      ...(await soundSettings(folder, { adminPort: admin })),
      svid: await soundSvid(folder, 'issuer.acme.test'),
      issuer: { url: 'https://issuer.acme.test', listen: '127.0.0.1:0' },
      authority: {
        listen: `127.0.0.1:${grpc}`,
        sidecars: { id: 'spiffe://acme.test/ns/*/sa/tools-*', audiences: 'https://payments.acme.test' },
      },
      records: `s3://records/start?endpoint=${encodeURIComponent(`http://127.0.0.1:${link.port}`)}`,
    };
    await writeFile(file, stringify(settings));
  });
  afterEach(async () => {
    running?.child.kill('SIGKILL');
    await running?.exit;
  });

  /** Status and text of the admin server; `null` while it does not answer. */
  const asked = async (path: string): Promise<string | null> => {
    const response = await fetch(`http://127.0.0.1:${admin}${path}`).catch(() => null);
    return response === null ? null : `${response.status} ${(await response.text()).trim()}`;
  };
  const isReady = async (): Promise<boolean> => (await asked('/readyz')) === '200 ok';

  it.each<[string, () => unknown, () => unknown, string]>([
    [
      'cannot be reached',
      () => link.cut(),
      () => link.heal(),
      'the bucket `records` of `records` cannot be used: ECONN',
    ],
    [
      'does not exist',
      () => store.client.send(new DeleteBucketCommand({ Bucket: 'records' })),
      () => store.client.send(new CreateBucketCommand({ Bucket: 'records' })),
      'the bucket `records` of `records` cannot be used: NoSuchBucket (status 404)',
    ],
  ])('that %s: waits for it, alive and not ready, and `--check` says so', async (_why, away, back, problem) => {
    await away();
    const checked = await ran(['serve', '--config', file, '--check']);
    expect([checked.code, checked.err]).toEqual([0, expect.stringContaining(problem)]);
    running = remit(['serve', '--config', file]);
    await until(async () => (await asked('/readyz'))?.includes(`503 start: waiting: ${problem}`) === true, {
      what: problem,
    });
    expect(await asked('/livez')).toBe('200 ok');
    await back();
    await until(isReady, { what: 'readiness' });
    expect(await ended(running)).toBe(0);
    expect((await ran(['serve', '--config', file, '--check'])).err).not.toContain(problem);
  });

  it('ends with 0 at SIGTERM while it waits', async () => {
    link.cut();
    running = remit(['serve', '--config', file]);
    await until(async () => (await asked('/readyz'))?.includes('cannot be used') === true, { what: 'the wait' });
    expect(await ended(running)).toBe(0);
    link.heal();
  });

  // Issue 55: a SIGHUP during the start reloaded the configuration alone.
  it('loads policies and keys that changed while it waited, if a SIGHUP said so', async () => {
    const { folder } = scratch;
    const [policy, keys] = [join(folder, 'policies/policies/payments.cedar'), join(folder, 'iam.json')];
    await writeFile(keys, JSON.stringify(jwksOf(es256Key('one'))));
    await writeFile(
      file,
      stringify({
        ...parse(await readFile(file, 'utf8')),
        policies: { folder: 'policies', lookSeconds: 3_600 },
        acceptedIssuers: [{ issuer: 'https://iam.acme.test', jwks: 'iam.json', kind: 'external' }],
      }),
    );
    link.cut();
    running = remit(['serve', '--config', file]);
    await until(async () => (await asked('/readyz'))?.includes('cannot be used') === true, { what: 'the wait' });
    await writeFile(policy, `${await readFile(policy, 'utf8')}\n// another set\n`);
    await writeFile(keys, JSON.stringify(jwksOf(es256Key('two'))));
    running.child.kill('SIGHUP');
    await running.said('SIGHUP: reloading');
    link.heal();
    await until(isReady, { what: 'readiness' });
    await running.said(/(policies: \d+, actions: \d+, set sha-256:\S+ [^]*){2}/);
    expect(await ended(running)).toBe(0);
    const sets = running.err().match(/set sha-256:\S+/g);
    expect(new Set(sets).size).toBe(2);
    expect(running.err()).toContain('SIGHUP during the start: reloading');
  });
});

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { Fleet } from './fleet.ts';

const root = resolve(import.meta.dirname, '../..');
const [{ readinessProbe, startupProbe }] = parse(readFileSync(resolve(root, 'deploy/inject/pod.yaml'), 'utf8')).spec
  .initContainers;
/** What the kubelet asks of an injected sidecar: before the other containers of its pod start, and as long as it runs. */
const [STARTUP, READINESS]: readonly [string, string] = [startupProbe.httpGet.path, readinessProbe.httpGet.path];
/** Records that may wait for an acknowledgement. */
const MOST_RECORDS = 4_096;

// In this order: all sidecars of a fleet would be in each state at once.
describeWith(envoyPart(), 'the readiness of a sidecar in a pod (issue 38, point 3)', (envoy) => {
  const scratch = testFolder(() => fleet?.stop());
  let fleet: Fleet;
  let token = '';
  beforeAll(async () => {
    fleet = await Fleet.start(envoy, scratch.folder);
    ({ token } = await fleet.declare());
  });

  /** The status for a probe. */
  const probed = async (path: string): Promise<number> => (await fetch(`${fleet.admin('remote')}${path}`)).status;
  /** Waits for a gate that is not met. */
  const unmet = (gate: string): Promise<unknown> =>
    until(async () => new RegExp(`^(?:503 )?${gate}: `, 'm').test(await fleet.readiness('remote')), {
      what: `the gate ${gate}`,
      withinMs: 60_000,
    });
  const call = (): Promise<string> => fleet.call('remote', token);

  it('leaves its pod in the Service when its SVID has expired', async () => {
    await until(async () => (await call()) === '200', { what: 'a use' });
    expect([await probed(STARTUP), await probed(READINESS)]).toEqual([200, 200]);
    await fleet.credential('tools-1', '/ns/pay/sa/tools-1', { ttlSeconds: 25 });
    await unmet('svid');
    expect(await probed(READINESS)).toBe(200);
    // By the lease that it had, or for the reason that it has none.
    expect(await call()).toMatch(/^(?:200|503 task\.state-unavailable)$/);
    expect(await probed(STARTUP)).toBe(503);
  });

  it('leaves it there when its authority is away, and its clients learn the reason', async () => {
    fleet.signal('authority', 'SIGKILL');
    await unmet('lease');
    expect([await probed(READINESS), await call()]).toEqual([200, '503 task.state-unavailable']);
  });

  it('leaves it there when it must write no more records until an authority has the records before', async () => {
    let calls = 0;
    // Denied without a look at a task, which would be waited for.
    const fill = async (): Promise<void> => {
      while ((calls += 1) <= MOST_RECORDS) await fleet.status('remote', 'payments.acme.test', '/v1/payments/p-1');
    };
    await Promise.all(Array.from({ length: 16 }, fill));
    await unmet('records');
    expect(await probed(READINESS)).toBe(200);
    expect(await call()).toMatch(/^503 (?:task\.state-|ledger\.)unavailable$/);
  });
});

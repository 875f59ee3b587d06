import { until } from '../until.ts';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import type { DevDomain } from '../../src/dev/domain.ts';
import type { ReceivedCall } from '../../src/dev/upstream.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { testFolder } from '../builders/test-folders.ts';
import { examples, mustDeclare, startDomain } from './domain.ts';
import { must, mustFind } from '../builders/must.ts';

const LIST = '{ action: payments.list, method: GET, path: /v1/payments, risk: low }';
const PASSWORD = `Basic ${Buffer.from('reports:hunter2').toString('base64')}`;

const listWith = (exceptions: readonly string[]): string => `action: payments.list
        method: GET
        path: /v1/payments
        risk: low
        accepts: [task-token, workload-identity]
        staticSecrets:
          exceptions: [${exceptions.join(', ')}]`;
const exception = (what: string, until = '2999-12-31'): string => `{ ${what}, owner: team payments, until: ${until} }`;

describeWith(envoyPart(), 'static secrets through Envoy', (envoy) => {
  const scratch = testFolder(() => domain?.stop());
  let domain: DevDomain;
  let catalog: string;
  let shipped: string;
  beforeAll(async () => {
    const policies = join(scratch.folder, 'policies');
    await cp(examples, policies, { recursive: true });
    catalog = join(policies, 'actions.yaml');
    shipped = await readFile(catalog, 'utf8');
    expect(shipped).toContain(LIST);
    domain = await startDomain(envoy, { folder: scratch.folder, policies });
  });

  const withExceptions = async (...exceptions: readonly string[]): Promise<void> => {
    await writeFile(catalog, shipped.replace(LIST, listWith(exceptions)));
    await domain.remit.reload();
  };

  /** Status and reason of the answer, and the call as received by the upstream, if it was. */
  const list = async (
    headers: Readonly<Record<string, string>>,
    path = '/v1/payments',
  ): Promise<readonly [number, string | null, ReceivedCall | null]> => {
    const { planner, envoyPort } = domain.stage;
    const before = domain.payments.received().length;
    const reply = await planner.call(envoyPort, { host: 'payments.acme.test', path, headers });
    const reason = reply.status < 300 ? null : JSON.parse(reply.body).reason;
    return [reply.status, reason, domain.payments.received()[before] ?? null];
  };

  it.each(['authorization', 'proxy-authorization', 'x-api-key'])(
    'passes a secret in `%s` to the upstream by an exception, but not after its last day',
    async (name) => {
      await withExceptions(exception(`header: ${name}`));
      const [status, , received] = await list({ [name]: PASSWORD });
      expect([status, received?.headers[name]]).toEqual([200, PASSWORD]);
      await withExceptions(exception(`header: ${name}`, '2020-01-31'));
      expect(await list({ [name]: PASSWORD })).toEqual([403, 'token.static-secret', null]);
    },
  );

  it('passes a secret by its digest from the inventory, in any place, and no other secret', async () => {
    await withExceptions();
    const path = '/v1/payments?api_key=correct-horse';
    expect(await list({}, path)).toEqual([403, 'token.static-secret', null]);
    // It is written separately from the decision, soon afterwards.
    await until(() => sightings(domain).length > 0);
    const [seen] = sightings(domain);
    expect(seen).toMatchObject({ kind: 'api-key', place: 'query api_key', action: 'payments.list' });
    expect(seen?.digest).toMatch(/^hmac-sha-256:/);
    await withExceptions(exception(`digest: '${seen?.digest}'`));
    const [status, , received] = await list({}, path);
    expect([status, received?.path]).toEqual([200, path]);
    const [another, , keyed] = await list({ authorization: 'ApiKey correct-horse' });
    expect([another, keyed?.headers.authorization]).toEqual([200, 'ApiKey correct-horse']);
    expect(await list({}, '/v1/payments?api_key=battery-staple')).toEqual([403, 'token.static-secret', null]);
  });

  it('never passes a task token to the upstream, whatever passes beside it or wraps it', async () => {
    await withExceptions(
      ...['authorization', 'proxy-authorization', 'x-api-key'].map((name) => exception(`header: ${name}`)),
    );
    const { token } = await mustDeclare(domain.stage.planner, domain, { actions: ['payments.list'] });
    const beside = { 'proxy-authorization': PASSWORD, 'x-api-key': 'hunter2' };
    const [status, , received] = await list({ authorization: `Bearer ${token}`, ...beside });
    expect(status).toBe(200);
    expect(received?.headers).toMatchObject(beside);
    expect(received?.headers.authorization).toBeUndefined();
    expect(JSON.stringify(received)).not.toContain(token);
    const wrapped = Buffer.from(`x:${token}`).toString('base64');
    const tried: readonly (readonly [string, string])[] = [
      [`Basic ${token}`, 'token.missing'],
      [`Basic ${wrapped}`, 'token.missing'],
      [`ApiKey ${token}`, 'token.missing'],
      [`${PASSWORD}, Bearer ${token}`, 'request.not-canonical'],
    ];
    for (const [value, refusal] of tried) {
      const [, reason, got] = await list({ authorization: value });
      expect([reason, got]).toEqual([refusal, null]);
    }
  });
});

function sightings({ remit }: DevDomain) {
  const found = must(mustFind(remit.stateFile).reader.staticSecrets(10));
  return found.filter(({ place }) => place.startsWith('query '));
}

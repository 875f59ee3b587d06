import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { EnvoyProcess } from '../../src/dev/envoy.ts';
import { formPost, tokenRequest } from '../../src/dev/issuer-request.ts';
import { es256Key, jwksOf, signed } from '../builders/tokens.ts';
import { describeWith, envoyPart, postgresPart } from '../parts.ts';
import { PostgresPlaces } from '../postgres/places.ts';
import { until } from '../until.ts';
import { dpopProof, newKey } from './dpop-proof.ts';
import { testFolder } from '../builders/test-folders.ts';
import { Fleet } from './fleet.ts';
import type { AuthorityName } from './fleet.ts';
import { ran, remit } from './process.ts';
import type { Running } from './process.ts';

const IDP = 'https://idp.acme.test';
const AUTHORITIES: readonly AuthorityName[] = ['authority', 'second'];
const idpKey = es256Key();

/** A TCP balancer that knows nothing of HTTP and TLS, and tries the next endpoint where one refuses. */
const balancer =
  (ports: readonly number[]) =>
  (adminSocket: string): string =>
    JSON.stringify({
      admin: { address: { pipe: { path: adminSocket } } },
      static_resources: {
        listeners: [
          {
            name: 'issuers',
            address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
            filter_chains: [
              {
                filters: [
                  {
                    name: 'envoy.filters.network.tcp_proxy',
                    typed_config: {
                      '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
                      stat_prefix: 'issuers',
                      cluster: 'issuers',
                      max_connect_attempts: 4,
                    },
                  },
                ],
              },
            ],
          },
        ],
        clusters: [
          {
            name: 'issuers',
            type: 'STATIC',
            connect_timeout: '1s',
            lb_policy: 'ROUND_ROBIN',
            load_assignment: {
              cluster_name: 'issuers',
              endpoints: [
                {
                  lb_endpoints: ports.map((port) => ({
                    endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } },
                  })),
                },
              ],
            },
          },
        ],
      },
    });

/** An agent that uses each token it is given once, until a file tells it to end. */
const AGENT = `
import http from 'node:http'; import https from 'node:https'; import fs from 'node:fs';
const get = (lib, options) => new Promise((done, fail) => lib.get(options, (r) => {
  let body = ''; r.on('data', (c) => (body += c)); r.on('end', () => done({ status: r.statusCode, body }));
}).on('error', fail));
const [folder, port] = process.argv.slice(2);
const read = (name) => fs.readFileSync(folder + '/' + name);
let last = '';
while (!fs.existsSync(folder + '/stop')) {
  const answer = await get(http, Object.assign(new URL(process.env.REMIT_TOKEN_URL), {
    headers: { authorization: 'Bearer ' + process.env.REMIT_TOKEN_URL_AUTH } }));
  const token = JSON.parse(answer.body).access_token;
  if (answer.status !== 200) console.log('no token', answer.status);
  else if (token !== last) {
    last = token;
    const { iat } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
    const call = await get(https, { host: '127.0.0.1', port, servername: 'payments.acme.test', path: '/v1/payments/p-1',
      ca: read('bundle.pem'), cert: read('runner.pem'), key: read('runner.key'),
      headers: { host: 'payments.acme.test', authorization: 'Bearer ' + token } });
    console.log('token of', iat, 'status', call.status);
  }
  await new Promise((done) => setTimeout(done, 200));
}
console.log('task', process.env.REMIT_TASK_ID);
`;

/** Declares a task with a proof; gives the status, and the kind of token or the error. */
const declaredAt = async (
  fleet: Fleet,
  at: AuthorityName,
  dpop: string,
): Promise<readonly [status: number, said: string]> => {
  const task = { actions: ['payments.read'], purpose: 'look at a payment' };
  const request = tokenRequest('https://payments.acme.test', task, { dpop });
  const { status, body } = await fleet.ask(at, request.path, request);
  return [status, JSON.parse(body).error ?? JSON.parse(body).token_type];
};

describeWith(envoyPart(), 'the issuers of two authorities behind a TCP balancer', (envoy) => {
  describeWith(postgresPart(), 'with a real PostgreSQL', (binaries) => {
    const scratch = testFolder(async () => {
      running?.child.kill('SIGTERM');
      await running?.exit;
      await proxy?.stop();
      await fleet?.stop();
      await places?.stop();
    });
    let places: PostgresPlaces;
    let fleet: Fleet;
    let proxy: EnvoyProcess;
    let running: Running;

    beforeAll(async () => {
      // The user of the database reads its folder.
      await chmod(scratch.folder, 0o755);
      await mkdir(join(scratch.folder, 'pg'));
      await mkdir(join(scratch.folder, 'fleet'), { mode: 0o700 });
      await writeFile(join(scratch.folder, 'fleet', 'idp.json'), JSON.stringify(jwksOf(idpKey)), { mode: 0o600 });
      places = new PostgresPlaces(binaries, join(scratch.folder, 'pg'));
      await places.start();
      fleet = await Fleet.start(envoy, join(scratch.folder, 'fleet'), {
        database: await places.next(),
        // The shortest life, so that a run renews its token often.
        issuer: { tokenSeconds: 10, signals: { transmitters: [{ issuer: IDP, jwks: 'idp.json' }] } },
      });
      const started = await EnvoyProcess.start({
        binary: envoy,
        config: balancer(AUTHORITIES.map((name) => fleet.issuerPort(name))),
      });
      if (!(started instanceof EnvoyProcess)) throw new Error(started.problem);
      proxy = started;
    });

    it('a proof of possession is used once at both', async () => {
      const key = newKey();
      const proof = () => dpopProof({ key, method: 'POST', url: 'https://issuer.acme.test/oauth/token' });
      const first = await proof();
      expect(await declaredAt(fleet, 'authority', first)).toEqual([200, 'DPoP']);
      for (const name of AUTHORITIES) expect(await declaredAt(fleet, name, first)).toEqual([400, 'invalid_dpop_proof']);
      const both = await proof();
      const answers = await Promise.all(AUTHORITIES.map((name) => declaredAt(fleet, name, both)));
      expect(answers.toSorted(([one], [other]) => one - other)).toEqual([
        [200, 'DPoP'],
        [400, 'invalid_dpop_proof'],
      ]);
    });

    it('a refresh token renews the task at both, and at none once either ended it', async () => {
      const { taskId } = await fleet.declare();
      const refreshed = async (at: AuthorityName): Promise<unknown> => {
        const fields = { grant_type: 'refresh_token', refresh_token: `remit-refresh-${taskId}` };
        const { body } = await fleet.ask(at, '/oauth/token', formPost('/oauth/token', fields));
        const { error, txn } = JSON.parse(body);
        return error ?? txn;
      };
      for (const name of AUTHORITIES) expect(await refreshed(name)).toBe(taskId);
      expect((await fleet.ask('authority', `/tasks/${taskId}/cancel`, {})).status).toBe(200);
      for (const name of AUTHORITIES) expect(await refreshed(name)).toBe('invalid_grant');
    });

    it('a signal that is delivered to both is taken once', async () => {
      const { taskId, token } = await fleet.declare();
      const event = 'https://schemas.openid.net/secevent/risc/event-type/credential-compromise';
      const set = signed(
        idpKey,
        JSON.stringify({ typ: 'secevent+jwt', alg: 'ES256', kid: idpKey.keyId }),
        JSON.stringify({
          iss: IDP,
          aud: 'https://issuer.acme.test',
          iat: Math.floor(Date.now() / 1_000),
          jti: `set-${Date.now()}`,
          sub_id: { format: 'uri', uri: 'spiffe://acme.test/ns/agents/sa/planner' },
          events: { [event]: { credential_type: 'password' } },
        }),
      );
      const push = async (at: AuthorityName): Promise<number> =>
        (await fleet.ask(at, '/signals', { headers: { 'content-type': 'application/secevent+jwt' }, body: set }))
          .status;
      // Where the other one is taking it, an authority asks for another delivery.
      const first = await Promise.all(AUTHORITIES.map(push));
      expect(first.filter((status) => status !== 503)).toContain(202);
      for (const name of AUTHORITIES)
        await until(async () => (await push(name)) === 202, { what: 'a repeated signal' });
      await until(async () => (await fleet.call('remote', token)).startsWith('403'), { what: 'the end of the task' });
      const folder = join(fleet.folder, 'ledger-authority');
      const recorded = async (): Promise<readonly string[]> => {
        const { out } = await ran(['ledger', 'query', '--ledger', folder, '--task', taskId, '--json']);
        return out.split('\n').filter((line) => line.includes('"event":"signal"'));
      };
      await until(async () => (await recorded()).length > 0, { what: 'the record of the signal' });
      expect(await recorded()).toHaveLength(1);
    });

    it('`remit run` renews its token and ends its task while the authority it used is killed', async () => {
      await writeFile(join(fleet.folder, 'agent.mjs'), AGENT);
      await writeFile(
        join(fleet.folder, 'intent.yaml'),
        'purpose: look at a payment\naccess:\n  - resource: https://payments.acme.test\n    actions: [payments.read]\n',
      );
      const { certificate, key } = await fleet.credential('runner', '/ns/agents/sa/planner');
      const svid = ['--svid-cert', certificate, '--svid-key', key, '--bundle', join(fleet.folder, 'bundle.pem')];
      const issuer = ['--issuer', `https://localhost:${proxy.address.port}`];
      const agent = [
        process.execPath,
        join(fleet.folder, 'agent.mjs'),
        fleet.folder,
        String(fleet.envoyPort('remote')),
      ];
      const intent = ['--intent', join(fleet.folder, 'intent.yaml')];
      running = remit(['run', ...intent, ...issuer, ...svid, '--', ...agent]);
      /** Waits until a token that was issued in a later second was used. */
      const usedLaterThan = async (ms: number): Promise<void> => {
        const isUsed = (): boolean => {
          // On a loaded machine the sidecar's lease may end before it has found the other authority.
          if (running.child.exitCode !== null || /no token|status (?!200|503)/.test(running.out()))
            throw new Error(`${running.out()}${running.err()}`);
          const used = running.out().matchAll(/^token of (\d+) status 200$/gm);
          return [...used].some(([, issuedAt]) => Number(issuedAt) * 1_000 > ms);
        };
        await until(isUsed, { what: `a token issued after ${ms}` });
      };
      await usedLaterThan(0);
      for (const name of AUTHORITIES) {
        fleet.signal(name, 'SIGKILL');
        await usedLaterThan(Date.now());
        // Ends while one of two is gone, too.
        if (name === 'authority') await fleet.serve(name);
      }
      await writeFile(join(fleet.folder, 'stop'), '');
      expect(await running.exit).toBe(0);
      const [, taskId = ''] = /^task ([0-9a-f-]{36})$/m.exec(running.out()) ?? [];
      const shown = await ran(['task', 'show', taskId, '--json', '--config', join(fleet.folder, 'authority.yaml')]);
      expect(JSON.parse(shown.out)).toMatchObject({ task: { state: 'completed' } });
    });
  });
});

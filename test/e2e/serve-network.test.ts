import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client } from '@grpc/grpc-js';
import { stringify } from 'yaml';
import { createAuthority, writeBundle, writeCredential } from '../../src/dev/authority.ts';
import type { CertificateAuthority } from '../../src/dev/authority.ts';
import { CHECK_PATH } from '../../src/sidecar/envoy/proto.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { tlsWith } from '../authority/feed/raw-client.ts';
import { exchange } from '../sidecar/envoy/network/network-stage.ts';
import { freePort } from '../free-port.ts';
import { until } from '../until.ts';
import { examples, scratchFolder } from './domain.ts';
import { ran, remit } from './process.ts';

// Processes start here, which is slow on a loaded machine.

const GATEWAY = 'spiffe://acme.test/gateway';
const OTHER = 'spiffe://acme.test/other-gateway';

/** The status of a check, whose answer is a denial: it has no message. */
const ask = async (client: Client): Promise<number> => (await exchange(client, CHECK_PATH, [Buffer.alloc(0)])).code;

describe('remit serve with checks over the network', () => {
  let folder: string;
  let remove: () => Promise<void>;
  let acme: CertificateAuthority;
  let port: number;
  let settings: Readonly<Record<string, unknown>>;

  beforeAll(async () => {
    ({ folder, remove } = await scratchFolder('remit-network-'));
    await cp(examples, join(folder, 'policies'), { recursive: true });
    acme = await createAuthority('acme.test', systemPorts);
    port = await freePort();
    settings = {
      trustDomains: ['acme.test'],
      svid: {
        ...(await writeCredential(folder, 'remit', await acme.svid('/remit'))),
        bundle: await writeBundle(folder, 'bundle', acme),
      },
      policies: 'policies',
      state: 'sqlite:state.db',
      admin: { listen: '127.0.0.1:0' },
      drainSeconds: 0,
    };
  });
  afterAll(() => remove?.());

  const write = async (name: string, extAuthz: object): Promise<string> => {
    const file = join(folder, `${name}.yaml`);
    await writeFile(file, stringify({ ...settings, extAuthz }), { mode: 0o600 });
    return file;
  };

  it('says by --check whether it would start', async () => {
    const good = await write('good', { listen: `0.0.0.0:${port}`, callers: GATEWAY });
    expect(await ran(['serve', '--config', good, '--check'])).toMatchObject({
      code: 0,
      out: `${good}: it would start\n`,
    });
    const foreign = await write('foreign', { listen: `0.0.0.0:${port}`, callers: 'spiffe://other.test/gateway' });
    const { code, err } = await ran(['serve', '--config', foreign, '--check']);
    expect([code, err]).toEqual([
      2,
      expect.stringContaining(
        '`extAuthz.callers`: `spiffe://other.test/gateway` is not of the trust domain of this process, whose SVID is `spiffe://acme.test/remit`',
      ),
    ]);
  });

  it('serves the current callers: a caller that a reload removes is refused, a caller that it adds is answered', async () => {
    const file = await write('served', { listen: `0.0.0.0:${port}`, callers: GATEWAY });
    const serving = remit(['serve', '--config', file]);
    const clientOf = async (path: string): Promise<Client> =>
      new Client(`127.0.0.1:${port}`, tlsWith(await acme.svid(path), acme.bundlePem), {
        'grpc.use_local_subchannel_pool': 1,
        'grpc.ssl_target_name_override': 'remit',
      });
    const clients: Client[] = [];
    try {
      await serving.said('checks on');
      const [gateway, other] = [await clientOf('/gateway'), await clientOf('/other-gateway')];
      clients.push(gateway, other);
      expect([await ask(gateway), await ask(other)]).toEqual([0, 7]);
      await serving.said('`spiffe://acme.test/other-gateway` is not in `extAuthz.callers`');
      await write('served', { listen: `0.0.0.0:${port}`, callers: OTHER });
      serving.child.kill('SIGHUP');
      await serving.said('`extAuthz.callers` has changed and is now in effect');
      expect(await ask(gateway)).toBe(7);
      await until(async () => (await ask(other)) === 0, { what: 'an answer for the added caller' });
    } finally {
      for (const client of clients) client.close();
      serving.child.kill('SIGTERM');
      expect(await serving.exit).toBe(0);
    }
  });
});

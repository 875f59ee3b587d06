// Issue 42, point 4: signals of a real issuer at a receiver in another language, whose JWT library knows nothing of Remit.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { signalsVerify } from '../../src/cli/signals-verify.ts';
import { stop } from '../../src/cli/stop/stop.ts';
import { createAuthority, writeCredential } from '../../src/dev/authority.ts';
import type { DevDomain } from '../../src/dev/domain.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { ran } from '../cli/ledgers.ts';
import { testFolder } from '../builders/test-folders.ts';
import { callPayments, mustDeclare, startDomain } from '../e2e/domain.ts';
import { freePort } from '../free-port.ts';
import { both, clientPart, describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';

const AUDIENCE = 'https://siem.acme.test';
const BEARER = 'token-of-the-transmitter';
const EVENT = 'https://schemas.openid.net/secevent';

describeWith(both(envoyPart(), clientPart('mcp-python-1')), 'a receiver of signals with PyJWT', ([envoy, packages]) => {
  const scratch = testFolder(async () => {
    receiver?.kill();
    await domain?.stop();
  });
  let domain: DevDomain;
  let receiver: ChildProcess | undefined;
  let issuer = '';
  let port = 0;
  const lines: Record<string, unknown>[] = [];
  const at = (name: string): string => join(scratch.folder, name);

  beforeAll(async () => {
    port = await freePort();
    const issuerPort = await freePort();
    issuer = `https://localhost:${issuerPort}`;
    const authority = await createAuthority('receiver.test', systemPorts);
    await writeCredential(scratch.folder, 'siem', await authority.svid('/siem', { dns: ['localhost'] }));
    await writeFile(at('siem-ca.pem'), authority.bundlePem);
    await writeFile(at('bearer'), `${BEARER}\n`, { mode: 0o600 });
    const siem = { name: 'siem', url: `https://localhost:${port}/events`, audience: AUDIENCE };
    domain = await startDomain(envoy, {
      folder: scratch.folder,
      settings: {
        issuer: {
          listen: `127.0.0.1:${issuerPort}`,
          url: issuer,
          signals: { transmit: [{ ...siem, tokenFile: at('bearer'), ca: at('siem-ca.pem') }] },
        },
      },
    });
  });

  const waiting = async (): Promise<string | undefined> => {
    const text = await (await fetch(`http://127.0.0.1:${domain.remit.adminPort}/metrics`)).text();
    return /^remit_signals_waiting\{receiver="siem"\} (\d+)$/m.exec(text)?.[1];
  };

  async function startReceiver(): Promise<void> {
    const { planner, issuerHost, issuerPort } = domain.stage;
    const asked = { host: issuerHost, method: 'GET', path: '/.well-known/jwks.json' };
    await writeFile(at('jwks.json'), (await planner.call(issuerPort, asked)).body);
    const started = spawn('python3', [join(import.meta.dirname, 'python', 'set_receiver.py')], {
      env: {
        PATH: process.env['PATH'],
        PYTHONPATH: packages,
        JWKS: at('jwks.json'),
        ISSUER: issuer,
        AUDIENCE,
        BEARER,
        PORT: String(port),
        CERT: at('siem.pem'),
        KEY: at('siem.key'),
      },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    receiver = started;
    let rest = '';
    started.stdout.on('data', (chunk: Buffer) => {
      const [last = '', ...whole] = `${rest}${String(chunk)}`.split('\n').toReversed();
      rest = last;
      lines.push(...whole.toReversed().map((line) => JSON.parse(line)));
    });
    await until(async () => lines.length > 0, { what: 'the receiver' });
  }

  it('is told of an end, a stolen token and a stop, also of what happened before it was there', async () => {
    await until(async () => (await waiting()) === '0', { what: 'the first claim' });
    const { planner, thief, issuerHost, issuerPort } = domain.stage;
    const ended = await mustDeclare(planner, domain);
    const path = `/tasks/${ended.taskId}/complete`;
    expect((await planner.call(issuerPort, { host: issuerHost, method: 'POST', path })).status).toBe(200);
    const stolen = await mustDeclare(planner, domain);
    expect(await callPayments(thief, domain, stolen)).toEqual([401, 'token.binding']);
    const command = ['agent', planner.id, '--because', 'INC-42', '--state', at('state.db')];
    const stopping = await ran(
      (args, io) => stop(args, { ...io, environment: { SUDO_USER: 'ada' } }),
      ...command,
      '--wait',
      'committed',
      '--json',
    );
    expect({ exit: stopping.exit, err: stopping.err }).toEqual({ exit: 0, err: '' });
    await until(async () => (await waiting()) === '3', { what: 'three signals that wait' });

    await startReceiver();
    await until(async () => (await waiting()) === '0', { what: 'an empty queue' });
    const told = lines.slice(1);
    expect(told.filter(({ error }) => error !== undefined)).toEqual([]);
    const byTransaction = new Map(told.map((claims) => [claims['txn'], claims]));
    const application = { format: 'uri', uri: planner.id };
    expect(told).toHaveLength(3);
    expect(byTransaction.get(ended.taskId)).toMatchObject({
      sub_id: { session: { format: 'opaque', id: ended.taskId }, application },
      events: { [`${EVENT}/caep/event-type/session-revoked`]: {} },
    });
    expect(byTransaction.get(stolen.taskId)).toMatchObject({
      sub_id: { session: { format: 'opaque', id: stolen.taskId }, application },
      events: { [`${EVENT}/risc/event-type/credential-compromise`]: {} },
    });
    expect(byTransaction.get(JSON.parse(stopping.out).id)).toMatchObject({
      sub_id: { format: 'uri', uri: planner.id },
      events: { [`${EVENT}/caep/event-type/session-revoked`]: { reason_admin: { en: 'INC-42' } } },
    });

    const verify = ['siem', '--state', 'of-siem', '--admin', `http://127.0.0.1:${domain.remit.adminPort}`];
    const verified = await ran(signalsVerify, ...verify);
    expect(verified).toMatchObject({
      exit: 0,
      err: '',
      out: expect.stringMatching(/^receiver `siem` accepted .* with 202\n$/),
    });
    expect(lines.at(-1)).toMatchObject({
      sub_id: { format: 'opaque', id: 'siem' },
      events: { [`${EVENT}/ssf/event-type/verification`]: { state: 'of-siem' } },
    });
  });
});

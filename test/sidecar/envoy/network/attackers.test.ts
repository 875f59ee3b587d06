import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import type { ClientHttp2Session } from 'node:http2';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { describe, expect, it } from '@jest/globals';
import type { IssuedCertificate } from '../../../../src/dev/authority.ts';
import { CHECK_PATH } from '../../../../src/sidecar/envoy/proto.ts';
import { after } from '../../../../src/core/runtime/timers.ts';
import { tlsWith } from '../../../authority/feed/raw-client.ts';
import { trustDomain } from '../../../authority/feed/serving.ts';
import { until } from '../../../until.ts';
import { oneByOne } from '../handlers.ts';
import { decideAlike, exchange, networkStages } from './network-stage.ts';
import type { NetworkStage } from './network-stage.ts';

const stage = networkStages();
const EMPTY = Buffer.alloc(0);
const REFUSED = { code: 7, details: 'no entry of extAuthz.callers admits this client', answers: [] };
const UNAVAILABLE = 14;

/** TLS of a client, which trusts the server blindly: that is not what is tested. */
const tlsOf = ({ certPem, keyPem }: IssuedCertificate, { acme: { bundlePem } }: NetworkStage) => ({
  ca: bundlePem,
  cert: certPem,
  key: keyPem,
  checkServerIdentity: () => undefined,
  ALPNProtocols: ['h2'],
});

/** HTTP/2 of a pinned caller from an address of its own. */
async function sessionFrom(localAddress: string, at: NetworkStage): Promise<ClientHttp2Session> {
  const tls = tlsOf(await at.svid('/gateway'), at);
  const socket = connectTls({ socket: connect({ host: '127.0.0.1', port: at.port, localAddress }), ...tls });
  socket.on('error', () => undefined);
  const session = connectHttp2('https://remit', { createConnection: () => socket });
  session.on('error', () => undefined);
  return session;
}

const HEADERS = { ':method': 'POST', ':path': CHECK_PATH, 'content-type': 'application/grpc', te: 'trailers' };

/** Whether an ordinary caller still gets its answer. */
const isAnswered = async (at: NetworkStage): Promise<boolean> =>
  (await exchange(await at.caller(), CHECK_PATH, [EMPTY])).answers.length === 1;

const closedOf = async (socket: Socket): Promise<string> => {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', () => undefined);
  await once(socket, 'close');
  return Buffer.concat(chunks).toString('latin1');
};

describe('a caller that is not pinned', () => {
  it('is refused with a valid SVID of the trust domain, and loses its connection', async () => {
    // Ten times as long to read why: this client makes two calls in that time.
    const at = await stage(decideAlike(), { after: (ms, run) => after(10 * ms, run) });
    const stranger = await at.caller('/ns/agents/sa/planner');
    expect(await exchange(stranger, CHECK_PATH, [EMPTY])).toEqual(REFUSED);
    expect(await exchange(stranger, '/grpc.health.v1.Health/Check', [EMPTY])).toEqual(REFUSED);
    expect(at.refused).toEqual(['127.0.0.1: `spiffe://acme.test/ns/agents/sa/planner` is not in `extAuthz.callers`']);
    const session = await sessionFrom('127.0.0.1', at);
    at.pin('/other');
    session.request(HEADERS).end();
    await once(session, 'close');
    at.pin('/gateway');
    expect(await isAnswered(at)).toBe(true);
  });

  it('is refused from the next call on, once its entry is removed', async () => {
    const at = await stage();
    const caller = await at.caller();
    expect((await exchange(caller, CHECK_PATH, [EMPTY])).answers).toHaveLength(1);
    at.pin('/other');
    expect(await exchange(caller, CHECK_PATH, [EMPTY])).toEqual(REFUSED);
    at.pin('/gateway');
    await until(async () => (await exchange(caller, CHECK_PATH, [EMPTY])).answers.length === 1);
  });

  it('is refused from the next call on, once its certificate has expired', async () => {
    let nowMs = Date.now();
    const at = await stage(decideAlike(), { nowMs: () => nowMs });
    const caller = at.client(at.target, tlsWith(await at.svid('/gateway', { ttlSeconds: 600 }), at.acme.bundlePem));
    expect((await exchange(caller, CHECK_PATH, [EMPTY])).answers).toHaveLength(1);
    nowMs += 600_000;
    expect(await exchange(caller, CHECK_PATH, [EMPTY])).toEqual(REFUSED);
    expect(at.refused).toEqual(['127.0.0.1: the certificate of `spiffe://acme.test/gateway` has expired']);
  });

  it.each<[string, (at: NetworkStage) => Promise<IssuedCertificate | null>]>([
    ['no certificate', async () => null],
    ['a CA of the same name', async () => (await trustDomain('acme.test')).svid('/gateway')],
    ['another trust domain', async () => (await trustDomain('other.test')).svid('/gateway')],
    ['an expired SVID', ({ svid }) => svid('/gateway', { notBeforeMs: Date.now() - 7_200_000, ttlSeconds: 3_600 })],
    ['a CA', ({ acme }) => acme.certificate({ uris: ['spiffe://acme.test/gateway'], ca: true })],
    ['an SVID that is not valid yet', ({ svid }) => svid('/gateway', { notBeforeMs: Date.now() + 3_600_000 })],
  ])('does not get through the handshake with %s', async (_what, presented) => {
    const at = await stage();
    const svid = await presented(at);
    const client = at.client(
      at.target,
      tlsWith(svid === null ? null : { ...svid, id: (await at.svid('/x')).id }, at.acme.bundlePem),
    );
    expect(await exchange(client, CHECK_PATH, [EMPTY], { timeoutMs: 10_000 })).toMatchObject({ code: UNAVAILABLE });
    expect(await isAnswered(at)).toBe(true);
  });

  it.each<[string, { readonly uris: readonly string[] }, string]>([
    ['no SPIFFE ID', { uris: [] }, 'the certificate must have exactly one uri name, it has 0'],
    ['two', { uris: ['spiffe://acme.test/gateway', 'spiffe://acme.test/x'] }, 'must have exactly one uri name'],
    ['a SPIFFE ID of another trust domain', { uris: ['spiffe://other.test/gateway'] }, 'is not of the trust domain'],
  ])('is refused with a certificate of our CA that names %s', async (_what, options, problem) => {
    const at = await stage();
    const certificate = await at.acme.certificate(options);
    const client = at.client(at.target, tlsWith({ ...certificate, id: (await at.svid('/x')).id }, at.acme.bundlePem));
    expect(await exchange(client, CHECK_PATH, [EMPTY])).toEqual(REFUSED);
    expect(at.refused).toEqual([expect.stringContaining(problem)]);
  });
});

describe('a client that does not speak TLS 1.2', () => {
  it('gets nothing for HTTP/2 in clear', async () => {
    const at = await stage();
    const client = at.client(at.target);
    expect(await exchange(client, CHECK_PATH, [EMPTY], { timeoutMs: 10_000 })).toMatchObject({ code: UNAVAILABLE });
    const socket = connect(at.port, '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nhost: remit\r\n\r\n');
    expect(await closedOf(socket)).not.toContain('HTTP');
    expect(await isAnswered(at)).toBe(true);
  });

  it('gets no connection with TLS 1.1, and a connection with 1.2', async () => {
    const at = await stage();
    const tls = tlsOf(await at.svid('/gateway'), at);
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    const refused = connectTls({ host: '127.0.0.1', port: at.port, ...tls, ...old });
    const [error] = await once(refused, 'error');
    expect(String(error)).toMatch(/protocol version|no protocols available|unsupported protocol/i);
    const accepted = connectTls({ host: '127.0.0.1', port: at.port, ...tls, maxVersion: 'TLSv1.2' });
    await once(accepted, 'secureConnect');
    expect(accepted.getProtocol()).toBe('TLSv1.2');
    accepted.destroy();
  });
});

describe('checks of one caller go on', () => {
  it('while another address floods with connections, of which a few stay', async () => {
    const at = await stage();
    const svid = await at.svid('/gateway');
    const from = { host: '127.0.0.1', port: at.port, localAddress: '127.0.0.2' };
    const flood = Array.from({ length: 400 }, () => connectTls({ socket: connect(from), ...tlsOf(svid, at) }));
    for (const socket of flood) socket.on('error', () => undefined);
    expect(await isAnswered(at)).toBe(true);
    await until(() => flood.filter((socket) => socket.destroyed).length >= 100, { what: 'refused connections' });
    expect(await isAnswered(at)).toBe(true);
    for (const socket of flood) socket.destroy();
  });

  it('while another address leaves half messages on all its streams', async () => {
    const at = await stage();
    const session = await sessionFrom('127.0.0.2', at);
    await once(session, 'connect');
    const streams = Array.from({ length: 200 }, () => session.request(HEADERS).on('error', () => undefined));
    // A message of 64 KiB is announced, and one byte of it sent.
    for (const stream of streams) stream.write(Buffer.from([0, 0, 1, 0, 0, 7]));
    await new Promise((resolve) => session.ping(resolve));
    const answers = await Promise.all(Array.from({ length: 20 }, () => isAnswered(at)));
    expect(answers).toEqual(answers.map(() => true));
    session.destroy();
    await until(() => at.server.inFlight === 0);
  });

  it('while another address sends messages over the limit', async () => {
    const at = await stage();
    const caller = await at.caller();
    const large = Buffer.alloc(65_536 + 512 * 1_024 + 1);
    expect(await exchange(caller, CHECK_PATH, [large])).toMatchObject({ code: 8, answers: [] });
    expect((await exchange(caller, CHECK_PATH, [large.subarray(1)])).answers).toHaveLength(1);
  });

  it('while another does not read its answers, whose connection ends', async () => {
    const at = await stage(
      oneByOne(() => Buffer.alloc(1_024 * 1_024, 1)),
      { maxCheckMs: 500 },
    );
    const session = await sessionFrom('127.0.0.2', at);
    await once(session, 'connect');
    for (let n = 0; n < 8; n += 1) {
      // Its window is left at 64 KiB.
      session
        .request(HEADERS)
        .on('error', () => undefined)
        .end(Buffer.alloc(5));
    }
    expect(await isAnswered(at)).toBe(true);
    await once(session, 'close');
    await until(() => at.server.inFlight === 0);
  });
});

describe('a connection', () => {
  it('ends if no call comes in time, before or after the handshake', async () => {
    // Ten seconds pass in a tenth of one, until both have ended.
    let speed = 100;
    const at = await stage(decideAlike(), { after: (ms, run) => after(ms / speed, run) });
    const half = connect(at.port, '127.0.0.1');
    const whole = await sessionFrom('127.0.0.1', at);
    await Promise.all([closedOf(half), once(whole, 'close')]);
    speed = 1;
    expect(await isAnswered(at)).toBe(true);
  });

  it('ends once its peer is gone without a word, within 15 seconds', async () => {
    const at = await stage();
    let fromServer: Socket | null = null;
    const proxy = createServer((client) => {
      fromServer = connect({ host: '127.0.0.1', port: at.port, localAddress: '127.0.0.2' });
      client.on('error', () => undefined);
      client.pipe(fromServer).on('error', () => undefined);
      fromServer.pipe(client);
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const { port } = proxy.address() as AddressInfo;
    const client = at.client(`127.0.0.1:${port}`, tlsWith(await at.svid('/gateway'), at.acme.bundlePem));
    expect((await exchange(client, CHECK_PATH, [EMPTY])).answers).toHaveLength(1);
    const held = fromServer as Socket | null;
    if (held === null) throw new Error('nobody connected');
    // Nothing is read or passed on from now on, and nothing is closed.
    held.unpipe();
    held.removeAllListeners('end');
    const ended = once(held, 'end');
    held.resume();
    await ended;
    proxy.close();
    held.destroy();
  });

  it('stays open over a renewal of our SVID, and new connections have the new SVID', async () => {
    const at = await stage();
    const caller = await at.caller();
    expect((await exchange(caller, CHECK_PATH, [EMPTY])).answers).toHaveLength(1);
    const serialOf = async (): Promise<string> => {
      const tls = tlsOf(await at.svid('/gateway'), at);
      const socket = connectTls({ host: '127.0.0.1', port: at.port, ...tls });
      await once(socket, 'secureConnect');
      const { serialNumber } = socket.getPeerCertificate();
      socket.destroy();
      return serialNumber;
    };
    const before = await serialOf();
    at.renew(await at.svid('/remit'));
    expect(await serialOf()).not.toBe(before);
    expect((await exchange(caller, CHECK_PATH, [EMPTY])).answers).toHaveLength(1);
  });

  it('is verified with the current bundle: a CA that was replaced admits nobody', async () => {
    const at = await stage();
    const former = await at.svid('/gateway');
    const next = await trustDomain('acme.test');
    at.renew(await next.svid('/remit'), next);
    const client = at.client(at.target, tlsWith(former, next.bundlePem));
    expect(await exchange(client, CHECK_PATH, [EMPTY], { timeoutMs: 10_000 })).toMatchObject({ code: UNAVAILABLE });
    const caller = at.client(at.target, tlsWith(await next.svid('/gateway'), next.bundlePem));
    expect((await exchange(caller, CHECK_PATH, [EMPTY])).answers).toHaveLength(1);
  });

  it('is drained: a check in progress is answered, and no other is begun', async () => {
    const { promise: decided, resolve } = Promise.withResolvers<Buffer>();
    const at = await stage(oneByOne(() => decided));
    const caller = await at.caller();
    const asked = exchange(caller, CHECK_PATH, [EMPTY]);
    await until(() => at.server.inFlight === 1);
    const closed = at.server.close(60_000);
    await until(async () => {
      const late = await exchange(await at.caller(), CHECK_PATH, [EMPTY], { timeoutMs: 5_000 });
      return late.code === UNAVAILABLE;
    });
    resolve(Buffer.of(0x0a, 0));
    expect(await asked).toEqual({ code: 0, details: '', answers: ['0a00'] });
    await closed;
  });

  it('gets no text of errors: a method that throws ends its call alone', async () => {
    const at = await stage({
      answers: () => {
        throw new Error('broken');
      },
      afterwards: () => undefined,
    });
    const caller = await at.caller();
    const { code, answers } = await exchange(caller, CHECK_PATH, [EMPTY]);
    expect([code, answers.length]).toEqual([0, 1]);
    expect(at.faults).toEqual([new Error('broken')]);
  });
});

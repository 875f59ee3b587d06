import { describe, expect, it } from '@jest/globals';
import type { AuthorityParts } from '../../../src/authority/feed/start-authority.ts';
import { methodOf } from '../../../src/core/fleet/service.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { after } from '../../../src/core/runtime/timers.ts';
import { closedAfterEach } from '../../builders/with-closers.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { until } from '../../until.ts';
import { hello, RawClient, rawStream, tlsSession, tlsWith, unixSession, welcomed } from './raw-client.ts';
import { heldSvid, PAYMENTS, serving, svidOf, trustDomain } from './serving.ts';

const folder = testFolders();
const closers = closedAfterEach();

async function authority(change: Partial<AuthorityParts> = {}) {
  const started = await serving(folder(), change);
  closers.push(() => started.close());
  return { ...started, target: started.targets[0] ?? '' };
}

/** What a client may leave unread for 30 s is to be read in 0.3 s, and rights are looked at each 0.1 s instead of each minute. */
const hasty: AuthorityParts['after'] = (ms, then) =>
  after(ms === 30_000 ? 300 : ms > 30_000 && ms <= 60_000 ? 100 : ms, then);

const followHello = methodOf('Follow').requestSerialize(hello('instance-1'));

describe('a stream of a sidecar', () => {
  it('ends on both sides once the sidecar has half-closed it', async () => {
    const { target, sidecars } = await authority();
    const session = unixSession(target);
    closers.push(() => session.destroy());
    const stream = rawStream(session, 'Follow', followHello);
    let status: unknown = null;
    let isClosed = false;
    stream.on('trailers', (headers) => (status = headers['grpc-status']));
    stream.on('close', () => (isClosed = true));
    stream.resume();
    await until(() => sidecars() === 1, { what: 'the stream' });
    stream.end();
    await until(() => isClosed, { what: 'the end of the stream' });
    expect(status).toBe('0');
    expect(sidecars()).toBe(0);
  });

  it('ends with its connection once the SVID of the sidecar has expired', async () => {
    const acme = await trustDomain('acme.test');
    const own = heldSvid(svidOf(await acme.svid('/remit', { dns: ['localhost'], ips: ['127.0.0.1'] }), acme));
    const clock = { aheadMs: 0 };
    const { target, sidecars } = await authority({
      listen: [{ kind: 'tcp', host: '127.0.0.1', port: 0 }],
      svid: own,
      after: hasty,
      ports: { ...systemPorts, nowMs: () => Date.now() + clock.aheadMs },
    });
    const session = tlsSession(target, await acme.svid('/ns/prod/sa/tools-1'), acme);
    let isClosed = false;
    session.on('close', () => (isClosed = true));
    closers.push(() => session.destroy());
    rawStream(session, 'Follow', followHello).resume();
    await until(() => sidecars() === 1, { what: 'the stream' });
    clock.aheadMs = 400 * 86_400_000;
    await until(() => isClosed, { what: 'the end of the connection' });
    await until(() => sidecars() === 0, { what: 'the end of the stream' });
  });

  it('ends with its connection once no rule admits its sidecar any more, and goes on if the rules give it the same', async () => {
    const acme = await trustDomain('acme.test');
    const own = heldSvid(svidOf(await acme.svid('/remit', { dns: ['localhost'], ips: ['127.0.0.1'] }), acme));
    let ids = ['tools-1', 'tools-2'];
    let audiences = [PAYMENTS];
    const { target, sidecars } = await authority({
      listen: [{ kind: 'tcp', host: '127.0.0.1', port: 0 }],
      svid: own,
      after: hasty,
      sidecars: () => ids.map((id) => ({ id: `spiffe://acme.test/ns/prod/sa/${id}`, audiences })),
    });
    const streams = await Promise.all(
      ['tools-1', 'tools-2'].map(async (name) => {
        const client = new RawClient(target, tlsWith(await acme.svid(`/ns/prod/sa/${name}`), acme.bundlePem));
        closers.push(() => client.close());
        const stream = client.follow();
        stream.send(hello(`instance-${name}`));
        await welcomed(stream);
        return stream;
      }),
    );
    ids = ['tools-2'];
    audiences = [...audiences];
    await until(() => streams[0]?.ended() ?? undefined, { what: 'the end of the first stream' });
    expect(streams[1]?.ended()).toBeNull();
    expect(sidecars()).toBe(1);
    audiences = ['https://other.acme.test'];
    await until(() => streams[1]?.ended() ?? undefined, { what: 'the end of the second stream' });
  });
});

describe('a client that never reads', () => {
  it('loses its connection if it leaves a bundle unread', async () => {
    const text = 'x'.repeat(1_000_000);
    const { target } = await authority({ after: hasty, bundle: () => ({ serial: 1, digest: 'd', text }) });
    const session = unixSession(target);
    let isClosed = false;
    session.on('close', () => (isClosed = true));
    closers.push(() => session.destroy());
    rawStream(session, 'Bundle', methodOf('Bundle').requestSerialize({ digest: '' })).end();
    await until(() => isClosed, { what: 'the end of the connection' });
  });
});

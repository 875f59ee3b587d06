import { connect as connectHttp2 } from 'node:http2';
import { type IncomingMessage, request, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { forwardOptionsFrom } from '../../../src/agent/forward/forward-option.ts';
import { forwardTargetsFrom } from '../../../src/agent/forward/forward-target.ts';
import {
  defaultUpstreamBounds,
  UpstreamConnections,
} from '../../../src/agent/forward/upstream/upstream-connections.ts';
import { OwnSvid } from '../../../src/agent/run/own-svid.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { must, mustFind } from '../../builders/must.ts';
import { testFolders } from '../../builders/test-folders.ts';
import { until } from '../../until.ts';
import {
  type Declared,
  PAYMENTS,
  type ServiceDomain,
  type StartedHelper,
  startServiceDomain,
} from './service-domain.ts';

const folder = testFolders(() => domain.close());
let domain: ServiceDomain;
let helper: StartedHelper;
beforeAll(async () => {
  domain = await startServiceDomain(folder());
  const options = must(
    forwardOptionsFrom([`tools=${PAYMENTS},connect=127.0.0.1:${domain.upstreamPort},upgrade=websocket`]),
  );
  helper = await domain.helper({ forwards: must(forwardTargetsFrom(options, [PAYMENTS])) });
});
afterEach(() => domain.answer(null));

const ending = {
  complete: ({ end }: Declared) => fetch(end, { method: 'DELETE' }),
  cancel: ({ end }: Declared) => fetch(`${end}/cancel`, { method: 'POST' }),
};

/** Opens a WebSocket of a task, which the upstream echoes. */
async function opened(made: Declared): Promise<{ readonly client: Socket; readonly upstream: Socket }> {
  const upstream = new Promise<Socket>((resolve) => {
    domain.upstream.once('upgrade', (_request: IncomingMessage, socket: Socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n');
      resolve(socket.on('error', () => undefined).on('data', (chunk) => socket.write(chunk)));
    });
  });
  const { host, pathname, port } = new URL(made.forward['tools'] ?? '');
  const client = connect(Number(port), '127.0.0.1').on('error', () => undefined);
  let text = '';
  client.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const key = 'sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13';
  client.write(
    `GET ${pathname}/ws HTTP/1.1\r\nhost: ${host}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n${key}\r\n\r\n`,
  );
  await until(() => text.endsWith('\r\n\r\n'));
  client.write('one');
  await until(() => text.endsWith('one'));
  return { client, upstream: await upstream };
}

describe('a WebSocket of a task that has ended', () => {
  it.each(['complete', 'cancel'] as const)('is closed at both sides by %s', async (by) => {
    const made = await helper.declare();
    const { client, upstream } = await opened(made);
    expect((await ending[by](made)).status).toBe(200);
    await until(() => client.destroyed && upstream.destroyed);
  });

  it('is closed at its deadline, since bytes do not prolong a task', async () => {
    const { client, upstream } = await opened(await helper.declare({ intent: 'look.yaml', expires_in: '5s' }));
    await until(() => client.destroyed && upstream.destroyed);
  });

  it('is closed also if the SVID was renewed after it was opened', async () => {
    const made = await helper.declare();
    const { client, upstream } = await opened(made);
    domain.answer(({ socket }, response) => response.end((socket as TLSSocket).getPeerCertificate().serialNumber));
    const peer = async (): Promise<string> => (await fetch(`${made.forward['tools']}/v1`)).text();
    const before = await peer();
    await domain.run.rotate();
    await until(async () => (await peer()) !== before);
    expect(client.destroyed).toBe(false);
    await ending.complete(made);
    await until(() => client.destroyed && upstream.destroyed);
  });
});

/** Holds the first `/slow` for ever, and counts all. */
const holding = (): { readonly seen: () => number } => {
  let seen = 0;
  domain.answer(({ url }: IncomingMessage, response: ServerResponse) => {
    if (url !== '/slow') return void response.end('{}');
    seen += 1;
    return seen === 1 ? undefined : void response.end('{}');
  });
  return { seen: () => seen };
};

/** Refuses each call as not decided. */
const undecided = (): { readonly seen: () => number } => {
  let seen = 0;
  domain.answer((_request, response) => {
    seen += 1;
    response.writeHead(503, { 'retry-after': '3', 'x-remit-decision': 'deny;reason=envoy.no-decision' }).end();
  });
  return { seen: () => seen };
};

describe('a call under way as its task ends', () => {
  it('is not sent again, although it may be repeated', async () => {
    const { seen } = holding();
    const made = await helper.declare();
    // Its connection is used again.
    await fetch(`${made.forward['tools']}/v1`);
    const call = fetch(`${made.forward['tools']}/slow`);
    await until(() => seen() === 1);
    await ending.complete(made);
    expect([(await call).status, seen()]).toEqual([502, 1]);
  });

  it('is not sent if it waited for a place among the connections', async () => {
    const { seen } = holding();
    const svid = await OwnSvid.open(domain.run.place.svid, systemPorts);
    const target = mustFind((await domain.plan()).forwards[0]);
    const bounds = { ...defaultUpstreamBounds, maxSockets: 1 };
    const connections = new UpstreamConnections(target, { svid, bounds, authorities: [] });
    const { agent } = must(await connections.boundTo(svid.thumbprint() ?? ''));
    const called = (): Promise<string> =>
      new Promise((resolve) => {
        const sent = request({ agent, path: '/slow' }, (answer) => resolve(String(answer.resume().statusCode)));
        sent.on('error', ({ message }) => resolve(message)).end();
      });
    const calls = [called(), called(), called()];
    await until(() => seen() === 1);
    connections.close();
    svid.close();
    const closed = 'its connections were closed';
    expect([await Promise.all(calls), seen()]).toEqual([['socket hang up', closed, closed], 1]);
  });

  it('is not sent again after a wait, over HTTP/1.1', async () => {
    const { seen } = undecided();
    const made = await helper.declare();
    const call = fetch(`${made.forward['tools']}/v1`, { method: 'POST', body: 'x' });
    await until(() => seen() === 1);
    await ending.complete(made);
    expect([(await call).status, seen()]).toEqual([503, 1]);
  });

  it('is not sent again after a wait, over HTTP/2', async () => {
    const { seen } = undecided();
    const made = await helper.declare();
    const { origin, pathname } = new URL(made.forward['tools'] ?? '');
    const session = connectHttp2(origin);
    const stream = session.request({ ':method': 'POST', ':path': `${pathname}/v1` }).setEncoding('utf8');
    const status = new Promise((resolve) => stream.once('response', (headers) => resolve(headers[':status'])));
    stream.end('x');
    await until(() => seen() === 1);
    await ending.complete(made);
    let text = '';
    for await (const chunk of stream as AsyncIterable<string>) text += chunk;
    session.destroy();
    const { reason } = JSON.parse(text) as { readonly reason: string };
    expect([await status, reason, seen()]).toEqual([403, 'task.completed', 1]);
  });
});

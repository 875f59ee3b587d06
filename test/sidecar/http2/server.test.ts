import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { constants } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { ErrorCode, Flag, FrameType } from '../../../src/sidecar/http2/frame.ts';
import { headerBlock } from '../../../src/sidecar/http2/header-block.ts';
import { Http2Server } from '../../../src/sidecar/http2/server.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { heldBytes } from '../../costs.ts';
import { until } from '../../until.ts';
import { frame, framesIn, PREFACE } from './raw-client.ts';
import { answer, brief, noting, stage } from './stage.ts';
import { ask, requestOf } from './requests.ts';

const { raw, serve, session } = stage();
const isGoAway = ({ type }: { readonly type: number }): boolean => type === FrameType.goAway;
const turn = () => new Promise((resolve) => setImmediate(resolve));
const later = () => new Promise((resolve) => setTimeout(resolve, 30));

describe('Http2Server', () => {
  it('finishes calls in progress, sends GOAWAY first, and refuses later streams', async () => {
    const { onStream, noted } = noting();
    const { port, server } = await serve(onStream, { noticeMs: 2_000 });
    const client = await raw({ port });
    await client.send(ask(1));
    await client.settled();
    const closed = server.close(10_000);
    await client.until(({ frames }) => frames.filter(isGoAway).length === 1);
    // The client has another stream on its way when it gets the GOAWAY; that one is accepted.
    expect(client.goAway).toEqual({ last: 0x7fff_ffff, code: ErrorCode.none });
    await client.send(ask(3));
    await client.until(({ frames }) => frames.filter(isGoAway).length === 2);
    expect(client.goAway).toEqual({ last: 3, code: ErrorCode.none });
    await client.send(ask(5));
    expect(await client.settled()).toBe(true);
    expect(client.resetCode(5)).toBe(ErrorCode.refusedStream);
    const one = noted.get('/');
    if (one === undefined) throw new Error('no stream came');
    one.stream.respond(headerBlock({ ':status': '200' }));
    one.stream.send(Buffer.from('late'));
    expect(await client.settled()).toBe(true);
    expect(String(client.content(3))).toBe('late');
    // A refused stream is not reported as accepted later.
    await client.send(ask(6));
    expect(await client.ended()).toEqual({ last: 3, code: ErrorCode.protocol });
    await closed;
  });

  it('stops reading while crowded, and resumes first if least was read', async () => {
    const seen: string[] = [];
    const { onStream } = noting({ begun: ({ path }) => seen.push(path) });
    const { port, server } = await serve(onStream, { isCrowded: () => seen.length > 0 });
    const clients = { a: await raw({ port }), b: await raw({ port }) };
    for (const client of Object.values(clients)) await client.settled();
    const sends = (name: keyof typeof clients, call: number): Promise<void> =>
      clients[name].send(ask(2 * call + 1, Flag.endStream, requestOf(`/${name}${call}`)));
    await sends('a', 0);
    await until(() => seen.length > 0);
    await sends('a', 1);
    await sends('b', 1);
    await later();
    expect(seen).toEqual(['/a0']);
    server.readOn();
    await later();
    expect(seen).toHaveLength(2);
    const [latest, other] = seen[1] === '/a1' ? (['a', 'b'] as const) : (['b', 'a'] as const);
    await sends(latest, 2);
    await later();
    server.readOn();
    await later();
    expect(seen.slice(2)).toEqual([`/${other}1`]);
    server.readOn();
    await later();
    expect(seen.slice(3)).toEqual([`/${latest}2`]);
  });

  it('ends a connection once its last stream is over, and the rest after the grace', async () => {
    const { onStream, noted } = noting();
    const { port, server } = await serve(onStream);
    const [ends, stays] = [await raw({ port }), await raw({ port })];
    await ends.send(ask(1));
    await ends.settled();
    const { stream } = noted.get('/') ?? {};
    await stays.send(ask(1, 0));
    await stays.settled();
    const closed = server.close(300);
    await ends.until(({ frames }) => frames.filter(isGoAway).length === 2);
    if (stream !== undefined) answer(stream, Buffer.alloc(40_000, 97));
    await ends.ended();
    // The whole answer, then the end.
    expect([ends.content(1).length, stays.isClosed]).toEqual([40_000, false]);
    await closed;
    expect(noted.get('/')?.events).toEqual(['closed']);
  });

  it('waits a second for clients that do not close their connection, not for the whole grace', async () => {
    const { port, server } = await serve();
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.resume();
    socket.on('error', () => undefined);
    await new Promise((resolve) => socket.write(PREFACE, resolve));
    await turn();
    await server.close(3_600_000);
    socket.destroy();
  });

  it('closes at once without connections, and accepts none afterwards', async () => {
    const { port, server } = await serve();
    await server.close(10_000);
    const socket = connect({ port, host: '127.0.0.1' });
    await expect(once(socket, 'connect')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('answers Node’s client until its end', async () => {
    const { port, server } = await serve();
    const client = session({ port });
    const bodies = Array.from({ length: 50 }, async (_, n) => {
      const stream = client.request({ ':method': 'POST' });
      stream.end(Buffer.alloc(n * 1_000, 97));
      let length = 0;
      for await (const chunk of stream) length += (chunk as Buffer).length;
      return [length, stream.rstCode];
    });
    await once(client, 'remoteSettings');
    const closed = server.close(10_000);
    expect(await Promise.all(bodies)).toEqual(
      Array.from({ length: 50 }, (_, n) => [n * 1_000, constants.NGHTTP2_NO_ERROR]),
    );
    await closed;
  });

  it('listens on Unix sockets, and reports why it cannot', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'remit-http2-'));
    const server = new Http2Server({ monotonicMs: systemPorts.monotonicMs, onStream: brief });
    try {
      const path = join(folder, 's');
      expect(await server.listen({ path })).not.toHaveProperty('failure');
      expect(await server.listen({ path })).toMatchObject({ failure: { code: 'EADDRINUSE' } });
      const socket = connect(path);
      socket.write(Buffer.concat([PREFACE, frame(FrameType.settings), ask(1)]));
      let came: Buffer = Buffer.alloc(0);
      while (!framesIn(came).frames.some(({ stream }) => stream === 1)) {
        const [chunk] = (await once(socket, 'data')) as [Buffer];
        came = Buffer.concat([came, chunk]);
      }
      socket.destroy();
    } finally {
      await server.close(0);
      rmSync(folder, { recursive: true });
    }
  });

  // Issue 14: it listened on any address.
  it.each(['0.0.0.0', '::', '10.0.0.7', '169.254.1.1', 'remit.acme.test', '', '::ffff:10.0.0.7', '127.1'])(
    'refuses to listen on `%s`, which other machines could reach',
    async (host) => {
      const server = new Http2Server({ monotonicMs: systemPorts.monotonicMs, onStream: brief });
      const bound = await server.listen({ host, port: 0 });
      if ('server' in bound) throw new Error('it listens');
      expect(bound.failure.message).toMatch(`\`${host}\` is not a loopback address`);
      await server.close(0);
    },
  );

  it.each(['127.0.0.1', '127.8.9.10', 'localhost', 'LOCALHOST', '::ffff:127.0.0.1'])(
    'listens on `%s`',
    async (host) => {
      const server = new Http2Server({ monotonicMs: systemPorts.monotonicMs, onStream: brief });
      expect(await server.listen({ host, port: 0 })).not.toHaveProperty('failure');
      await server.close(0);
    },
  );

  it('reports a connection that could not be accepted, and goes on', async () => {
    const faults: unknown[] = [];
    const server = new Http2Server({
      monotonicMs: systemPorts.monotonicMs,
      onStream: brief,
      onFault: (error) => faults.push(error),
    });
    const bound = await server.listen({ host: '127.0.0.1', port: 0 });
    if ('failure' in bound) throw bound.failure;
    // The event of Node where `accept` fails, which cannot be provoked otherwise.
    bound.server.emit('error', new Error('accept'));
    expect(faults.map(String)).toEqual(['Error: accept']);
    await server.close(0);
  });

  it('uses TCP keep-alive to detect lost peers', async () => {
    const { port } = await serve();
    const client = await raw({ port });
    await client.settled();
    const [own, other] = [port, client.socket.localPort ?? 0].map(
      (one) => `:${one.toString(16).toUpperCase().padStart(4, '0')}`,
    );
    const line = readFileSync('/proc/net/tcp', 'latin1')
      .split('\n')
      .find((one) => new RegExp(`^ *\\d+: \\w+${own} \\w+${other} 01 `).test(one));
    // The timer of the socket is keep-alive.
    expect(line?.trim().split(/\s+/)[5]).toMatch(/^02:/);
  });

  it('sends buffered frames at the end of a turn, or on `flush`', async () => {
    const { onStream, noted } = noting();
    const { port, server } = await serve(onStream);
    const client = await raw({ port });
    await client.send(ask(1));
    await client.settled();
    const one = noted.get('/');
    if (one === undefined) throw new Error('no stream came');
    answer(one.stream, Buffer.from('first'));
    server.flush();
    server.flush();
    await client.until(() => client.content(1).length === 5);
  });

  it('accepts 1,024 connections of some kilobytes each, and more once there is room', async () => {
    const { port } = await serve();
    const before = await heldBytes();
    const sockets: Socket[] = [];
    const refused = { count: 0 };
    for (let n = 0; n < 1_100; n += 1) {
      const socket = connect({ port, host: '127.0.0.1' });
      socket.on('error', () => undefined).on('close', () => (refused.count += 1));
      socket.write(Buffer.concat([PREFACE, frame(FrameType.settings)]));
      socket.pause();
      sockets.push(socket);
      await once(socket, 'connect');
    }
    for (let tries = 0; tries < 2_000 && refused.count < 76; tries += 1) {
      for (const socket of sockets) socket.resume();
      await turn();
    }
    expect(refused.count).toBe(76);
    // Both ends of each, with 65 KiB of send buffer.
    expect((await heldBytes()) - before).toBeLessThan(1_024 * 110_000);
    for (const socket of sockets) socket.destroy();
    // Until the other end has noticed.
    while (!(await (await raw({ port })).settled())) await turn();
    expect((await heldBytes()) - before).toBeLessThan(5_000_000);
  });
});

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { getHeapStatistics } from 'node:v8';
import { framed } from '../../src/sidecar/envoy/grpc/grpc-messages.ts';
import { Flag, FrameType } from '../../src/sidecar/http2/frame.ts';
import { headerBlock } from '../../src/sidecar/http2/header-block.ts';
import { Http2Server } from '../../src/sidecar/http2/server.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { indexed, Literal, literal } from '../sidecar/http2/hpack.ts';
import { frame, RawClient, widened } from '../sidecar/http2/raw-client.ts';

/**
 * What one call costs an HTTP/2 server: `node test/bench/http2.ts [CALLS] [ROUNDS]`, 100,000 and 5 by default. The calls are
 * those of a worker of Envoy, HEADERS and DATA on one connection with 16 under way; each server is a process of its own, and answers with
 * headers, a message and trailers. Prints the processor time, the rate and what V8 allocated, each the median over the rounds.
 */

const calls = Number(process.argv[2] ?? 100_000);
const rounds = Number(process.argv[3] ?? 5);
const UNDER_WAY = 16;
const MESSAGE_BYTES = 1_500;
const ANSWER = framed(Buffer.alloc(120, 1));

/** Resources that a server has used. */
interface Spent {
  readonly cpuMicroseconds: number;
  readonly allocatedBytes: number;
}

/** Servers by name, each listening on a free port of loopback. */
const SERVERS: Readonly<Record<string, () => Promise<number>>> = {
  'src/sidecar/http2': async () => {
    const head = headerBlock({ ':status': '200', 'content-type': 'application/grpc' });
    const trailers = headerBlock({ 'grpc-status': '0' });
    const server = new Http2Server({
      monotonicMs: systemPorts.monotonicMs,
      onStream: (stream) => ({
        data: ({ length }) => stream.took(length),
        ended: () => {
          stream.respond(head);
          stream.send(ANSWER);
          stream.end(trailers);
        },
        closed: () => undefined,
      }),
    });
    const bound = await server.listen({ host: '127.0.0.1', port: 0 });
    if ('failure' in bound) throw bound.failure;
    return (bound.server.address() as AddressInfo).port;
  },
  'node:http2': async () => {
    const server = createServer();
    server.on('stream', (stream: ServerHttp2Stream) => {
      stream.on('data', () => undefined);
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.on('end', () => {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
        stream.end(ANSWER);
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  },
};

const spent = (): Spent => {
  const { user, system } = process.cpuUsage();
  // Available in V8 13.9 and later; the types lack it.
  const { total_allocated_bytes: allocated = 0 } = getHeapStatistics() as { readonly total_allocated_bytes?: number };
  return { cpuMicroseconds: user + system, allocatedBytes: allocated };
};

/** The headers of a check: the first block defines them, later ones refer to them, except for what differs in each. */
function headers(n: number): Buffer {
  const trace = literal('traceparent', `00-${n.toString(16).padStart(32, '0')}-00f067aa0ba902b7-01`);
  const timeout = literal('grpc-timeout', '199m');
  if (n > 0) {
    const known = [67, 66, 65, 64, 63, 62].map(indexed);
    return Buffer.concat([indexed(3), indexed(6), ...known, timeout, trace]);
  }
  const fields = {
    ':path': '/envoy.service.auth.v3.Authorization/Check',
    ':authority': 'remit',
    te: 'trailers',
    'content-type': 'application/grpc',
    'x-envoy-internal': 'true',
    'x-forwarded-for': '10.0.0.7',
  };
  const kept = Object.entries(fields).map(([name, value]) => literal(name, value, Literal.kept));
  return Buffer.concat([indexed(3), indexed(6), ...kept, timeout, trace]);
}

const message = framed(Buffer.alloc(MESSAGE_BYTES, 97));
const call = (n: number): Buffer => {
  const stream = 1 + 2 * n;
  return Buffer.concat([
    frame(FrameType.headers, { stream, flags: Flag.endHeaders, payload: headers(n) }),
    frame(FrameType.data, { stream, flags: Flag.endStream, payload: message }),
  ]);
};

/** Makes calls with a fixed concurrency; resolves once all are answered. */
async function load(client: RawClient, from: number, count: number): Promise<void> {
  let [asked, answered] = [0, 0];
  const ask = (more: number): void => {
    const batch: Buffer[] = [];
    for (; more > 0 && asked < count; more -= 1) batch.push(call(from + asked++));
    if (batch.length > 0) void client.send(...batch);
  };
  ask(UNDER_WAY);
  while (answered < count) {
    await client.until(({ frames }) => frames.length > 0);
    const over = client.frames.filter(
      ({ flags, type }) => type === FrameType.headers && (flags & Flag.endStream) !== 0,
    );
    client.frames.length = 0;
    answered += over.length;
    ask(over.length);
  }
}

const asked = async (child: ChildProcess): Promise<Spent> => {
  child.send('spent');
  return ((await once(child, 'message')) as [Spent])[0];
};

/** One round of a server: microseconds per call, calls per second, bytes per call. */
async function round(name: string): Promise<readonly number[]> {
  const child = fork(import.meta.filename, [name], { execArgv: ['--max-semi-space-size=16'] });
  try {
    const [port] = (await once(child, 'message')) as [number];
    const client = await RawClient.to(port);
    await client.send(widened(0, 0x7fff_0000));
    const warm = Math.min(20_000, calls);
    await load(client, 0, warm);
    const before = await asked(child);
    const began = performance.now();
    await load(client, warm, calls);
    const seconds = (performance.now() - began) / 1_000;
    const after = await asked(child);
    client.close();
    return [
      (after.cpuMicroseconds - before.cpuMicroseconds) / calls,
      calls / seconds,
      (after.allocatedBytes - before.allocatedBytes) / calls,
    ];
  } finally {
    child.kill();
  }
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

const serves = SERVERS[process.argv[2] ?? ''];
if (serves === undefined) {
  const came = new Map(Object.keys(SERVERS).map((name) => [name, [] as (readonly number[])[]]));
  for (let n = 0; n < rounds; n += 1) {
    for (const [name, results] of came) results.push(await round(name));
  }
  for (const [name, results] of came) {
    const [cpu = 0, rate = 0, bytes = 0] = [0, 1, 2].map((at) => median(results.map((result) => result[at] ?? 0)));
    const figures = [`${cpu.toFixed(1)} us`, `${rate.toFixed(0)} /s`, `${bytes.toFixed(0)} bytes`];
    process.stdout.write(`${name.padEnd(12)}${figures.map((figure) => figure.padStart(14)).join('')}\n`);
  }
} else {
  process.on('message', () => process.send?.(spent()));
  process.send?.(await serves());
}

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, type ClientWritableStream, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ACCESS_LOG_PATH } from '../../../../src/sidecar/envoy/proto.ts';
import { AuthorizationServer } from '../../../../src/sidecar/envoy/server.ts';
import type { ServedCall } from '../../../../src/sidecar/outcome/served-call.ts';
import { systemPorts } from '../../../../src/core/runtime/ports.ts';
import { until } from '../../../until.ts';
import { DECISION, entryOf, messageBytes } from '../access-log-samples.ts';
import { oneByOne } from '../handlers.ts';
import { checkClient } from '../client.ts';

const asTheyAre = (bytes: Buffer): Buffer => bytes;

interface Log {
  readonly stream: ClientWritableStream<Buffer>;
  /** How the server ended it. */
  readonly ended: Promise<ServiceError | null>;
}

const raise = (error: Error): never => {
  throw error;
};

describe('the access log service', () => {
  let folder: string;
  let address: string;
  let server: AuthorizationServer;
  let clients: Client[];
  let calls: ServedCall[];
  let names: string[];
  let left: number;
  let take: (call: ServedCall) => Promise<void> | null;
  const faults: unknown[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'remit-als-'));
    address = `unix:${join(folder, 's.sock')}`;
    [clients, calls, names, left] = [[], [], [], 0];
    take = (call) => {
      calls.push(call);
      return null;
    };
    faults.length = 0;
    server = new AuthorizationServer(
      oneByOne(async () => Buffer.from([1])),
      {
        ...systemPorts,
        refuse: () => Buffer.from([2]),
        onFault: (error) => faults.push(error),
        accessLog: {
          ledger: null,
          opened: (name) => {
            names.push(name);
            return () => void (left += 1);
          },
          served: (call) => take(call),
        },
      },
    );
    expect(await server.listen([address])).toEqual([address]);
  });
  afterEach(async () => {
    for (const client of clients) client.close();
    await server.close(100);
    await rm(folder, { recursive: true, force: true });
  });

  const open = (): Log => {
    const client = new Client(address, credentials.createInsecure());
    clients.push(client);
    let settle: (error: ServiceError | null) => void;
    const ended = new Promise<ServiceError | null>((resolve) => (settle = resolve));
    const stream = client.makeClientStreamRequest(
      ACCESS_LOG_PATH,
      asTheyAre,
      asTheyAre,
      new Metadata(),
      {},
      (error: ServiceError | null) => settle(error),
    );
    stream.on('error', () => undefined);
    return { stream, ended };
  };

  it('processes the entries of every message, with the name of the sender', async () => {
    const { stream, ended } = open();
    stream.write(messageBytes([entryOf(), entryOf({ response: { response_code: { value: 404 } } })], 'gateway-1'));
    stream.write(messageBytes([entryOf({ common: { access_log_type: 8 } }), entryOf()]));
    await until(() => calls.length === 3);
    expect(calls.map((call) => [call.decision?.id, call.status])).toEqual([
      [DECISION, 200],
      [DECISION, 404],
      [DECISION, 200],
    ]);
    expect([names, left]).toEqual([['`gateway-1`'], 0]);
    stream.end();
    expect(await ended).toBeNull();
    expect(left).toBe(1);
  });

  it('replaces control characters in the name', async () => {
    open().stream.write(messageBytes([entryOf()], `\u001b[31m${'x'.repeat(500)}`));
    await until(() => names.length === 1);
    expect(names[0]).toMatch(/^`\?\[31mx{123}`$/);
  });

  it.each([
    ['is not protobuf', Buffer.from('ffffffffff', 'hex'), /not a message of an access log/],
    ['has an invalid entry', Buffer.from('12060a04ffffffff', 'hex'), /not an access log entry: /],
    ['has a truncated entry', Buffer.from('12040a7f0a00', 'hex'), /not a message of an access log/],
    ['has too many entries', messageBytes(Array.from({ length: 4_097 }, () => ({}))), /more than 4096 entries/],
    [
      'is too long',
      messageBytes(Array(9).fill(entryOf({ request: { path: 'a'.repeat(120_000) } }))),
      /more than 1048576/,
    ],
  ])('ends only the stream whose message %s', async (_name, bytes, details) => {
    const other = open();
    other.stream.write(messageBytes([entryOf()], 'other'));
    await until(() => calls.length === 1);
    const broken = open();
    broken.stream.write(bytes);
    expect(await broken.ended).toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringMatching(details),
    });
    other.stream.write(messageBytes([entryOf()]));
    await until(() => calls.length === 2);
    expect(faults).toEqual([]);
  });

  it('reads no faster than the sink takes entries', async () => {
    const held: (() => void)[] = [];
    take = (call) => {
      calls.push(call);
      return new Promise((resolve) => void held.push(resolve));
    };
    const { stream } = open();
    const large = entryOf({ request: { path: `/${'a'.repeat(100_000)}` } });
    let isPaused = false;
    for (let n = 0; n < 40; n += 1) isPaused = !stream.write(messageBytes([large]));
    await until(() => calls.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect([calls.length, isPaused]).toEqual([1, true]);
    const timer = setInterval(() => held.shift()?.(), 1);
    await until(() => calls.length === 40);
    clearInterval(timer);
  });

  it('waits for a single entry of many, and processes the others in order', async () => {
    const held: (() => void)[] = [];
    take = (call) => {
      calls.push(call);
      return calls.length === 3 ? new Promise((resolve) => void held.push(resolve)) : null;
    };
    const statuses = Array.from({ length: 100 }, (_, n) => 200 + n);
    open().stream.write(messageBytes(statuses.map((value) => entryOf({ response: { response_code: { value } } }))));
    await until(() => calls.length === 3);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(calls).toHaveLength(3);
    held.shift()?.();
    await until(() => calls.length === 100);
    expect(calls.map((call) => call.status)).toEqual(statuses);
  });

  it('answers checks while it reads a log with thousands of entries', async () => {
    const { stream } = open();
    for (let n = 0; n < 8; n += 1) stream.write(messageBytes(Array.from({ length: 4_000 }, () => ({}))));
    const client = checkClient(address);
    let checks = 0;
    await until(() => calls.length > 0);
    while (calls.length < 32_000) {
      await client.check(Buffer.from([0]));
      checks += 1;
    }
    client.close();
    expect(checks).toBeGreaterThan(5);
  });

  it.each<readonly [string, () => Promise<void>]>([
    ['at once', () => raise(new Error('no'))],
    ['later', () => Promise.reject(new Error('no'))],
  ])('reports what the sink threw %s, and ends that stream', async (_name, fail) => {
    take = fail;
    const { stream, ended } = open();
    stream.write(messageBytes([entryOf()], 'g'));
    expect(await ended).toMatchObject({ code: status.INVALID_ARGUMENT });
    expect(faults).toEqual([new Error('no')]);
    expect(left).toBe(1);
  });

  it('notices an aborted stream', async () => {
    const { stream } = open();
    stream.write(messageBytes([entryOf()], 'g'));
    await until(() => calls.length === 1);
    stream.cancel();
    await until(() => left === 1);
    expect(faults).toEqual([]);
  });

  it('notices a stream aborted while its entry was waiting', async () => {
    const held: (() => void)[] = [];
    take = () => new Promise((resolve) => void held.push(resolve));
    const { stream } = open();
    stream.write(messageBytes([entryOf(), entryOf()], 'g'));
    await until(() => names.length === 1);
    stream.cancel();
    await new Promise((resolve) => setTimeout(resolve, 50));
    const timer = setInterval(() => held.shift()?.(), 1);
    await until(() => left === 1);
    clearInterval(timer);
    expect(faults).toEqual([]);
  });

  it('refuses a stream beyond the bound, and accepts a stream again when another has ended', async () => {
    const logs = Array.from({ length: 256 }, open);
    for (const { stream } of logs) stream.write(messageBytes([entryOf()], 'g'));
    await until(() => names.length === 256);
    const over = open();
    expect(await over.ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    logs[0]?.stream.end();
    await logs[0]?.ended;
    open().stream.write(messageBytes([entryOf()], 'again'));
    await until(() => names.includes('`again`'));
  });

  it('counts an aborted stream until its entry is recorded', async () => {
    const held: (() => void)[] = [];
    take = () => new Promise((resolve) => void held.push(resolve));
    const logs = Array.from({ length: 256 }, open);
    for (const { stream } of logs) stream.write(messageBytes([entryOf()], 'g'));
    await until(() => held.length === 256);
    for (const { stream } of logs) stream.cancel();
    await Promise.all(logs.map(({ ended }) => ended));
    expect(await open().ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    for (const release of held) release();
    await until(() => left === 256);
    open().stream.write(messageBytes([entryOf()], 'again'));
    await until(() => names.includes('`again`'));
    expect(faults).toEqual([]);
  });

  it('does not delay the end of the server', async () => {
    const { stream, ended } = open();
    stream.write(messageBytes([entryOf()], 'g'));
    await until(() => calls.length === 1);
    // Longer than the timeout of a test.
    await server.close(60_000);
    expect(await ended).toBeNull();
    expect(left).toBe(1);
  });
});

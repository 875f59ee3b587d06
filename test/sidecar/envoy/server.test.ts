import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Client, credentials, logVerbosity, type ServiceError, setLogVerbosity } from '@grpc/grpc-js';
import { service as healthService } from 'grpc-health-check';
import { deny } from '../../../src/core/decision/decision.ts';
import { uuidV7 } from '../../../src/core/decision/uuid.ts';
import { authorizationHandler, refusalsFrom } from '../../../src/sidecar/envoy/authorization.ts';
import { framed } from '../../../src/sidecar/envoy/grpc/grpc-messages.ts';
import { AUTHORIZATION_SERVICE } from '../../../src/sidecar/envoy/proto.ts';
import { AuthorizationServer } from '../../../src/sidecar/envoy/server.ts';
import type { CheckHandler } from '../../../src/sidecar/envoy/server-options.ts';
import type { CheckMessage, ExtAuthzServerOptions } from '../../../src/sidecar/envoy/server-options.ts';
import { Flag } from '../../../src/sidecar/http2/frame.ts';
import { systemPorts } from '../../../src/core/runtime/ports.ts';
import { literal } from '../http2/hpack.ts';
import { data } from '../http2/requests.ts';
import { until } from '../../until.ts';
import { checkClient } from './client.ts';
import { checksBy, oneByOne, oneOf, type Check, type OneHandler } from './handlers.ts';
import { envoyCheckRequestType, readAsEnvoy } from './protos.ts';
import { checkBegun, FIRST_STREAM, rawStage } from './raw-checks.ts';

const response = { helpUrl: null };
const refuse = refusalsFrom({
  response,
  newDecisionId: () => uuidV7(systemPorts.nowMs(), systemPorts.randomBytes(16)),
});
const options: ExtAuthzServerOptions = { ...systemPorts, refuse };
const never = () => new Promise<never>(() => {});
const request = envoyCheckRequestType.serialize({
  attributes: {
    request: {
      http: {
        method: 'GET',
        path: '/',
        host: 'a',
        scheme: 'http',
        header_map: { headers: [{ key: ':path', raw_value: Buffer.from('/') }] },
      },
    },
  },
});

const requestOf = (host: string): Buffer =>
  envoyCheckRequestType.serialize({ attributes: { request: { http: { method: 'GET', path: '/', host } } } });

const raw = rawStage();
let folder = '';
const closing: (() => unknown)[] = [];
beforeAll(() => {
  // grpc-js prints its own line when a port is in use.
  setLogVerbosity(logVerbosity.NONE);
  folder = mkdtempSync(join(tmpdir(), 'remit-server-'));
});
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const started = async (handler: OneHandler, over: Partial<ExtAuthzServerOptions> = {}, address = 'localhost:0') => {
  const server = new AuthorizationServer(oneByOne(handler), { ...options, ...over });
  closing.push(() => server.close(200));
  const addresses = await server.listen([address]);
  if (!Array.isArray(addresses)) throw new Error(JSON.stringify(addresses));
  const client = checkClient(String(addresses[0]));
  closing.unshift(client.close);
  return { server, client, address: String(addresses[0]) };
};

const mustListen = async (server: AuthorizationServer): Promise<readonly string[]> => {
  const addresses = await server.listen(['localhost:0']);
  if ('problem' in addresses) throw new Error(addresses.problem);
  return addresses;
};

const problemAt = async (address: string) => new AuthorizationServer(oneByOne(never), options).listen([address]);
const bug = () => {
  throw new Error('bug');
};

const reasonOf = (bytes: Uint8Array): string | undefined => {
  const answer = readAsEnvoy(bytes);
  expect(answer.status?.code ?? 0).not.toBe(0);
  expect(answer.ok_response).toBeUndefined();
  return answer.status?.message;
};

describe('AuthorizationServer.listen', () => {
  it('serves on a Unix socket of mode 0660 and on TCP, and removes the socket at the end', async () => {
    const path = join(folder, 'a.sock');
    const server = new AuthorizationServer(
      oneByOne(async () => Buffer.from('hello')),
      options,
    );
    const addresses = await server.listen([`unix:${path}`, 'localhost:0']);
    expect(addresses).toEqual([`unix:${path}`, expect.stringMatching(/^localhost:[1-9][0-9]*$/)]);
    expect(statSync(path).mode & 0o777).toBe(0o660);
    for (const address of Array.isArray(addresses) ? addresses : []) {
      const client = checkClient(String(address));
      expect(String(await client.check(request))).toBe('hello');
      client.close();
    }
    await server.close(1_000);
    expect(existsSync(path)).toBe(false);
  });

  it('replaces a stale socket', async () => {
    const path = join(folder, 'stale.sock');
    const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
    spawnSync(process.execPath, ['-e', script]);
    expect(existsSync(path)).toBe(true);
    const { client } = await started(async () => Buffer.from('new'), {}, `unix:${path}`);
    expect(String(await client.check(request))).toBe('new');
  });

  it('does not replace a socket in use', async () => {
    const path = join(folder, 'used.sock');
    const { client } = await started(async () => Buffer.from('old'), {}, `unix:${path}`);
    expect(await problemAt(`unix:${path}`)).toEqual({ problem: `address in use: \`unix:${path}\`` });
    expect(String(await client.check(request))).toBe('old');
  });

  it('reports a port in use', async () => {
    const other = createServer();
    const port = await new Promise<number>((resolve) => {
      other.listen(0, '127.0.0.1', () => {
        const address = other.address();
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
    closing.push(() => new Promise((resolve) => other.close(resolve)));
    expect(await problemAt(`127.0.0.1:${port}`)).toEqual({ problem: `address in use: \`127.0.0.1:${port}\`` });
  });

  it.each([
    ['a path that is not absolute', () => 'a.sock', (path: string) => `the socket path \`${path}\` must be absolute`],
    [
      'a path that is too long',
      () => `/${'a'.repeat(107)}`,
      (path: string) => `the socket path \`${path}\` must be at most 107 bytes`,
    ],
    [
      'a folder that does not exist',
      () => join(folder, 'no', 'a.sock'),
      () => `the folder \`${join(folder, 'no')}\` of the socket does not exist`,
    ],
    [
      'a file in its place',
      () => {
        writeFileSync(join(folder, 'file.sock'), 'precious');
        return join(folder, 'file.sock');
      },
      (path: string) => `\`${path}\` exists and is not a socket`,
    ],
  ])('refuses %s', async (_name, pathOf, problemOf) => {
    const path = pathOf();
    expect(await problemAt(`unix:${path}`)).toEqual({ problem: problemOf(path) });
  });

  it('opens nothing if an address cannot be bound', async () => {
    const path = join(folder, 'first.sock');
    const server = new AuthorizationServer(oneByOne(never), options);
    expect(await server.listen([`unix:${path}`, 'unix:relative'])).toHaveProperty('problem');
    await until(() => !existsSync(path));
  });
});

describe('AuthorizationServer answering', () => {
  it("passes bytes, trace context, deadline and signal to the handler, and returns the handler's bytes", async () => {
    const seen: { bytes: Uint8Array; call: Parameters<OneHandler>[1]; nowMs: number }[] = [];
    const { client, server } = await started(async (bytes, call) => {
      seen.push({ bytes, call, nowMs: systemPorts.monotonicMs() });
      return new Uint8Array([1, 2, 3]);
    });
    const metadata = { traceparent: 't', tracestate: 's', 'x-other': 'o' };
    // The deadline of a client's first call runs while it connects.
    await client.check(request);
    expect(await client.check(request, { timeoutMs: 8_000, metadata })).toEqual(Buffer.from([1, 2, 3]));
    const [, check] = seen;
    expect(Buffer.from(check?.bytes ?? [])).toEqual(request);
    expect(check?.call.traceparent).toBe('t');
    const leftMs = (check?.call.deadlineMs ?? 0) - (check?.nowMs ?? 0);
    expect(leftMs).toBeGreaterThan(4_000);
    expect(leftMs).toBeLessThanOrEqual(7_901);
    expect(check?.call.signal.aborted).toBe(false);
    expect(server.inFlight).toBe(0);
  });

  it('gives a check a deadline if the client sets none', async () => {
    const { client } = await started(never, { maxCheckMs: 30 });
    expect(reasonOf(await client.check(request))).toBe('check.deadline');
  });

  it.each<[string, OneHandler]>([
    ['throws', bug],
    ['rejects', () => Promise.reject(new Error('bug'))],
    ['rejects with nothing', () => Promise.reject(undefined)],
    ['gives no bytes', async () => new Uint8Array(0)],
    ['gives nothing', async () => undefined as unknown as Uint8Array],
    ['gives something else', async () => 'allow' as unknown as Uint8Array],
  ])('denies when the handler %s', async (_name, handler) => {
    const faults: unknown[] = [];
    const { client, server } = await started(handler, { onFault: (error) => faults.push(error) });
    expect(reasonOf(await client.check(request))).toBe('internal');
    expect(faults).toHaveLength(1);
    expect(server.inFlight).toBe(0);
  });

  it.each<[string, () => Uint8Array]>([
    ['throws', bug],
    ['gives nothing', () => new Uint8Array(0)],
  ])('denies by itself when the refusal %s', async (_name, refuse) => {
    const { client } = await started(() => Promise.reject(new Error('bug')), { refuse });
    expect(reasonOf(await client.check(request))).toBe('internal');
  });

  it('denies when `onFault` throws', async () => {
    const { client } = await started(bug, { onFault: bug });
    expect(reasonOf(await client.check(request))).toBe('internal');
  });

  it('reports a fault outside of the handler, which ends only its call', async () => {
    const faults: unknown[] = [];
    const clock = { isBroken: false };
    const monotonicMs = () => {
      if (!clock.isBroken) return systemPorts.monotonicMs();
      clock.isBroken = false;
      return bug();
    };
    const over = { monotonicMs, onFault: (error: unknown) => faults.push(error) };
    const { client } = await started(async () => Buffer.from('done'), over);
    expect(String(await client.check(request))).toBe('done');
    // The watch has seen that the first check is over.
    await new Promise((resolve) => setTimeout(resolve, 50));
    clock.isBroken = true;
    await expect(client.check(request)).rejects.toThrow();
    expect(String(await client.check(request))).toBe('done');
    expect(faults).toEqual([new Error('bug')]);
  });

  it('denies before the deadline when the handler never answers, and aborts its signal', async () => {
    const signals: CheckMessage['signal'][] = [];
    const { client, server } = await raw((_bytes, { signal }) => {
      signals.push(signal);
      return never();
    });
    const one = await client();
    // This client does not give up at the deadline, as one of a library would, and on a busy machine before it has read the answer.
    const begun = checkBegun(FIRST_STREAM, literal('grpc-timeout', '500m'));
    await one.send(begun, data(FIRST_STREAM, framed(request), Flag.endStream));
    await one.until(() => one.content(FIRST_STREAM).length > 0);
    expect(reasonOf(one.content(FIRST_STREAM).subarray(5))).toBe('check.deadline');
    expect(signals[0]?.aborted).toBe(true);
    expect(server.inFlight).toBe(0);
  });

  it("aborts the handler's signal when the client disconnects, and no longer counts the check", async () => {
    const signals: CheckMessage['signal'][] = [];
    const { client, server } = await started((_bytes, { signal }) => {
      signals.push(signal);
      return never();
    });
    const abort = new AbortController();
    const outcome = client.check(request, { signal: abort.signal }).catch((error: ServiceError) => error.code);
    await until(() => server.inFlight === 1);
    abort.abort();
    expect(await outcome).toBe(1);
    await until(() => server.inFlight === 0);
    expect(signals[0]?.aborted).toBe(true);
  });

  it.each([
    ['exceeds its rate', () => null],
    ['cannot be determined', bug],
  ])('denies an agent that %s, and does not ask the handler', async (_name, admit) => {
    const asked: unknown[] = [];
    const handler: OneHandler = async (bytes) => Buffer.from([asked.push(bytes)]);
    const { client } = await started(handler, { admit });
    expect(reasonOf(await client.check(request))).toBe('overloaded');
    expect(asked).toEqual([]);
  });

  it('denies the checks of the agent with the most under way first, and none of its neighbour', async () => {
    const waiting: (() => void)[] = [];
    const { client } = await started(() => new Promise((resolve) => waiting.push(() => resolve(Buffer.from('done')))), {
      maxInFlight: 20,
      admit: (bytes) => (bytes.includes('noisy.test') ? 'noisy' : 'modest'),
    });
    // They wait for a disk, so their turn in the queue is over.
    const noisy = Array.from({ length: 200 }, () => client.check(requestOf('noisy.test')));
    await until(() => waiting.length === 16);
    const modest = Array.from({ length: 3 }, () => client.check(requestOf('modest.test')));
    await until(() => waiting.length === 19);
    for (const finish of waiting.splice(0)) finish();
    expect((await Promise.all(modest)).map(String)).toEqual(['done', 'done', 'done']);
    const answers = await Promise.all(noisy);
    expect(answers.filter((bytes) => String(bytes) === 'done')).toHaveLength(16);
    expect(answers.filter((bytes) => String(bytes) !== 'done').map(reasonOf)).toEqual(
      Array.from({ length: 184 }, () => 'overloaded'),
    );
  });

  it('denies checks beyond the bound, each with its own id, and goes on', async () => {
    const waiting: (() => void)[] = [];
    const causes: string[] = [];
    const { client, server } = await started(
      () => new Promise((resolve) => waiting.push(() => resolve(Buffer.from('done')))),
      { maxInFlight: 4, refuse: (cause) => (causes.push(cause), refuse(cause)) },
    );
    const first = Array.from({ length: 4 }, () => client.check(request));
    await until(() => server.inFlight === 4);
    const shed = await Promise.all(Array.from({ length: 20 }, () => client.check(request)));
    expect(new Set(shed.map(reasonOf))).toEqual(new Set(['overloaded']));
    expect(new Set(causes)).toEqual(new Set(['full']));
    expect(
      new Set(shed.map((bytes) => readAsEnvoy(bytes).dynamic_metadata?.fields?.['decision_id']?.stringValue)).size,
    ).toBe(20);
    expect(readAsEnvoy(shed[0] ?? Buffer.alloc(0)).denied_response?.status?.code).toBe(503);
    for (const finish of waiting.splice(0)) finish();
    expect((await Promise.all(first)).map(String)).toEqual(['done', 'done', 'done', 'done']);
    const last = client.check(request);
    await until(() => waiting.length === 1);
    waiting[0]?.();
    expect(String(await last)).toBe('done');
  });

  it.each<[string, Partial<ExtAuthzServerOptions>, string]>([
    ['beyond the bound', { maxInFlight: 1 }, 'full'],
    ['above the rate of its agent', { admit: (bytes) => (bytes.includes('.test') ? null : '') }, 'agent'],
  ])('lets a call pass that is only observed, %s', async (_name, over, why) => {
    const asked: string[] = [];
    const server = new AuthorizationServer(
      {
        ...oneByOne(never),
        passing: ({ message }, cause) => {
          asked.push(cause);
          return Buffer.from(message).includes('observed.test') ? Buffer.from('passes') : null;
        },
      },
      { ...options, ...over },
    );
    closing.push(() => server.close(0));
    const [address] = await mustListen(server);
    const client = checkClient(String(address));
    closing.unshift(client.close);
    const first = client.check(request).catch(() => undefined);
    await until(() => server.inFlight === 1);
    expect(String(await client.check(requestOf('observed.test')))).toBe('passes');
    expect(reasonOf(await client.check(requestOf('enforced.test')))).toBe('overloaded');
    expect(new Set(asked)).toEqual(new Set([why]));
    await server.close(0);
    await first;
  });

  it('lets an observed call pass at its deadline, while it waits and while it is under way', async () => {
    const underWay: unknown[] = [];
    const signals: unknown[] = [];
    const passing: CheckHandler['passing'] = (_check, _cause, call) => {
      underWay.push(call !== undefined);
      return Buffer.from('passes');
    };
    const server = new AuthorizationServer(
      { ...oneByOne((_message, { signal }) => (signals.push(signal), never())), passing },
      { ...options, maxCheckMs: 30 },
    );
    closing.push(() => server.close(0));
    const [address] = await mustListen(server);
    const client = checkClient(String(address));
    closing.unshift(client.close);
    expect(String(await client.check(request))).toBe('passes');
    expect(underWay).toEqual([true]);
    expect(signals).toMatchObject([{ aborted: true }]);
  });

  it('lets an observed call pass if the handler fails', async () => {
    const fails: readonly (() => CheckHandler['answers'])[] = [
      () => bug,
      () => () => [Promise.reject(new Error('bug'))],
      () => () => [],
      () => () => [Buffer.alloc(0)],
    ];
    for (const failing of fails) {
      const causes: string[] = [];
      const passing: CheckHandler['passing'] = (_check, cause) => (causes.push(cause), Buffer.from('passes'));
      const server = new AuthorizationServer({ answers: failing(), passing, afterwards: () => undefined }, options);
      closing.push(() => server.close(0));
      const [address] = await mustListen(server);
      const client = checkClient(String(address));
      closing.unshift(client.close);
      expect(String(await client.check(request))).toBe('passes');
      expect(causes).toEqual(['failed']);
    }
  });

  it('refuses if the answer for an observed call throws or is empty', async () => {
    for (const passing of [bug, () => Buffer.alloc(0)]) {
      const server = new AuthorizationServer({ ...oneByOne(never), passing }, { ...options, admit: () => null });
      closing.push(() => server.close(0));
      const [address] = await mustListen(server);
      const client = checkClient(String(address));
      closing.unshift(client.close);
      expect(reasonOf(await client.check(request))).toBe('overloaded');
    }
  });

  it('reports `deadline` for a check that waited until its deadline, which a few slow checks do without overload', async () => {
    const causes: string[] = [];
    let skippedMs = 0;
    // Each decision takes more than half of the time that the next may wait.
    const handler: OneHandler = async () => ((skippedMs += 6_000), Buffer.from('done'));
    const { client } = await started(handler, {
      maxCheckMs: 10_000,
      monotonicMs: () => systemPorts.monotonicMs() + skippedMs,
      refuse: (cause) => (causes.push(cause), refuse(cause)),
    });
    // Checks that arrive together wait for each other.
    for (let n = 0; n < 100 && causes.length === 0; n += 1) {
      const answers = await Promise.all(Array.from({ length: 4 }, () => client.check(request)));
      for (const answer of answers)
        expect(['done', 'check.deadline']).toContain(String(answer) === 'done' ? 'done' : reasonOf(answer));
    }
    expect(new Set(causes)).toEqual(new Set(['deadline']));
  });
});

const healthAt = (address: string) => {
  const client = new Client(address, credentials.createInsecure());
  closing.unshift(() => client.close());
  const method = healthService['Check'];
  if (method === undefined) throw new Error('no health check');
  return (service: string) =>
    new Promise<unknown>((resolve) => {
      client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        { service },
        (error, answer) => resolve(answer !== undefined && 'status' in answer ? answer.status : error?.code),
      );
    });
};

describe('AuthorizationServer health and close', () => {
  it('lists its services, and notifies watchers of each change until it closes', async () => {
    const { server, address } = await started(never);
    const client = new Client(address, credentials.createInsecure());
    closing.unshift(() => client.close());
    const { Watch: watch, List: list } = healthService;
    if (watch === undefined || list === undefined) throw new Error('no such methods');
    const seen: unknown[] = [];
    const watching = (service: string) => {
      const stream = client.makeServerStreamRequest(watch.path, watch.requestSerialize, watch.responseDeserialize, {
        service,
      });
      stream.on('data', (answer: { status: unknown }) => seen.push([service, answer.status]));
      return new Promise<number>((resolve) => stream.on('error', (error: ServiceError) => resolve(error.code)));
    };
    const ends = [watching(''), watching('other')];
    await until(() => seen.length === 2);
    server.setServing(true);
    await until(() => seen.length === 3);
    expect(seen.map(String).toSorted()).toEqual([',NOT_SERVING', ',SERVING', 'other,SERVICE_UNKNOWN']);
    const statuses = await new Promise((resolve) => {
      client.makeUnaryRequest(list.path, list.requestSerialize, list.responseDeserialize, {}, (_error, answer) =>
        resolve(answer),
      );
    });
    const status = 'SERVING';
    expect(statuses).toEqual({ statuses: { '': { status }, [AUTHORIZATION_SERVICE]: { status } } });
    await server.close(60_000);
    expect(await Promise.all(ends)).toEqual([14, 14]);
  });

  it('is not serving until set', async () => {
    const { server, address } = await started(never);
    const health = healthAt(address);
    for (const name of ['', AUTHORIZATION_SERVICE]) expect(await health(name)).toBe('NOT_SERVING');
    expect(await health('other')).toBe(5);
    server.setServing(true);
    for (const name of ['', AUTHORIZATION_SERVICE]) expect(await health(name)).toBe('SERVING');
    server.setServing(false);
    expect(await health('')).toBe('NOT_SERVING');
  });

  it('reports that it drains, finishes checks in progress, and accepts no more', async () => {
    const waiting: (() => void)[] = [];
    const { server, client, address } = await started(
      () => new Promise((resolve) => waiting.push(() => resolve(Buffer.from('done')))),
    );
    const health = healthAt(address);
    server.setServing(true);
    const inFlight = client.check(request);
    await until(() => waiting.length === 1);
    server.setServing(false);
    const late = client.check(request);
    await until(() => waiting.length === 2);
    expect(await health('')).toBe('NOT_SERVING');
    const closed = server.close(5_000);
    expect(server.close(0)).toBe(closed);
    server.setServing(true);
    for (const answered of waiting) answered();
    expect(String(await late)).toBe('done');
    expect(String(await inFlight)).toBe('done');
    await closed;
    await expect(client.check(request, { timeoutMs: 500 })).rejects.toThrow();
  });

  it('aborts what does not end within its grace', async () => {
    const { server, client } = await started(never);
    const outcome = client.check(request).catch((error: ServiceError) => error.code);
    await until(() => server.inFlight === 1);
    await server.close(50);
    expect(await outcome).not.toBe(0);
    await until(() => server.inFlight === 0);
  });
});

const answer = {
  decisionId: 'd',
  taskId: null,
  agent: null,
  action: null,
  resourceMetadataUrl: null,
  traceId: null,
  transactionToken: null,
  passing: [],
};
const call: Parameters<OneHandler>[1] = { traceparent: null, deadlineMs: 1, signal: { aborted: false } };
const handlerOf = (check: Check, onFault?: (error: unknown) => void) => {
  const faults = onFault && { onFault };
  return oneOf(
    authorizationHandler(checksBy(check), { rules: { partialBodyBytes: null }, response, refuse, ...faults }),
  );
};

describe('authorizationHandler', () => {
  it("encodes the check's answer", async () => {
    const handler = handlerOf(async () => ({ ...answer, decision: { kind: 'allow', policyIds: [], observed: null } }));
    expect(readAsEnvoy(await handler(request, call)).ok_response).toBeDefined();
  });

  it('passes unreadable requests to the check, too', async () => {
    const asked: unknown[] = [];
    const handler = handlerOf(async (facts) => {
      asked.push(facts);
      return { ...answer, decision: 'kind' in facts ? facts : deny('internal', '') };
    });
    expect(reasonOf(await handler(Buffer.from('0aff', 'hex'), call))).toBe('request.malformed');
    expect(reasonOf(await handler(Buffer.alloc(0), call))).toBe('request.unsupported');
    expect(reasonOf(await handler(request, call))).toBe('internal');
    expect(asked).toEqual([
      expect.objectContaining({ reason: 'request.malformed' }),
      expect.objectContaining({ reason: 'request.unsupported' }),
      expect.objectContaining({ call: expect.objectContaining({ path: '/' }) }),
    ]);
  });

  it.each<[string, Check]>([
    ['throws', bug],
    ['rejects', () => Promise.reject(new Error('bug'))],
    ['gives no answer', async () => undefined as never],
    ['gives an empty decision', async () => ({ ...answer, decision: {} as never })],
  ])('denies when the check %s', async (_name, check) => {
    const faults: unknown[] = [];
    const handler = handlerOf(check, (error) => faults.push(error));
    expect(reasonOf(await handler(request, call))).toBe('internal');
    expect(faults).toHaveLength(1);
  });
});

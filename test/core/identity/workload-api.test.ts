import { randomBytes, X509Certificate } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createAuthority, type CertificateAuthority, type IssuedSvid } from '../../../src/dev/authority.ts';
import { firstSvid } from '../../../src/core/identity/first-svid.ts';
import { type SpiffeId } from '../../../src/core/identity/spiffe-id.ts';
import type { Svid } from '../../../src/core/identity/svid.ts';
import { WorkloadApiSource } from '../../../src/core/identity/workload-api.ts';
import { workloadApiTargetFrom } from '../../../src/core/identity/workload-api-address.ts';
import { svidUpdateFrom } from '../../../src/core/identity/workload-api-response.ts';
import { NOW_MS } from './certificates.ts';
import { eventually, HeldTimers } from './held-timers.ts';
import { refusedRenewals } from './refused-renewals.ts';
import { derOf, entryOf, WorkloadApiServer, type Entry, type Response } from './workload-api-server.ts';
import { mustSpiffeId } from '../../builders/spiffe-id.ts';

const HOUR_MS = 3_600_000;
const ports = { nowMs: () => NOW_MS, randomBytes };
const anyone = { id: null, hint: null };

let acme: CertificateAuthority;
let other: CertificateAuthority;
let planner: IssuedSvid;
let renewed: IssuedSvid;
let reporter: IssuedSvid;

beforeAll(async () => {
  acme = await createAuthority('acme.test', ports);
  other = await createAuthority('other.test', ports);
  planner = await acme.svid('/ns/agents/sa/planner');
  renewed = await acme.svid('/ns/agents/sa/planner');
  reporter = await acme.svid('/ns/agents/sa/reporter');
});

const entry = (svid: IssuedSvid, over: Partial<Entry> = {}): Entry => entryOf(svid, acme.bundlePem, over);
const responseOf = (...svids: readonly Entry[]): Response => ({ svids });

const problemOf = async (from: WorkloadApiSource, wanted: RegExp): Promise<void> =>
  eventually(() => wanted.test(from.problem() ?? ''), `${wanted} is the problem, it is ${from.problem()}`);

describe('WorkloadApiSource', () => {
  let folder: string;
  let target: string;
  let server: WorkloadApiServer;
  let timers: HeldTimers;
  let nowMs: number;
  let source: WorkloadApiSource | null;
  let problems: string[];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'workload-api-'));
    target = `unix:${join(folder, 'agent.sock')}`;
    ({ server } = await WorkloadApiServer.start(target));
    timers = new HeldTimers();
    nowMs = NOW_MS;
    source = null;
    problems = [];
  });
  afterEach(async () => {
    source?.close();
    server.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** With `chance` 0 the delays have no jitter. */
  const opened = (over: { id?: SpiffeId; hint?: string; chance?: number } = {}): WorkloadApiSource => {
    const { chance = 0 } = over;
    source = new WorkloadApiSource({
      target,
      id: over.id ?? null,
      hint: over.hint ?? null,
      ports: { nowMs: () => nowMs, randomBytes: (length) => new Uint8Array(length).fill(chance * 0xff) },
      after: timers.after,
      onProblem: (problem) => void (problem !== null && problems.push(problem)),
    });
    return source;
  };
  const serving = async (greeting: Response): Promise<WorkloadApiSource> => {
    server.greeting = greeting;
    const started = opened();
    await eventually(() => started.current() !== null, 'an svid arrived');
    return started;
  };

  it('serves the svid, its chain, key and bundles, and sends the required metadata', async () => {
    const intermediate = other.bundlePem;
    const from = await serving({
      svids: [entry(planner, { x509_svid: derOf(planner.certPem, intermediate) })],
      federated_bundles: { 'spiffe://other.test': derOf(other.bundlePem) },
    });
    const svid = from.current();
    expect(svid?.id).toBe('spiffe://acme.test/ns/agents/sa/planner');
    expect(svid?.certificates.map((der) => Buffer.from(der))).toEqual([derOf(planner.certPem), derOf(intermediate)]);
    expect(svid?.certificatePem).toBe(planner.certPem + intermediate);
    expect(svid?.keyPem).toBe(planner.keyPem);
    expect(svid?.notAfterMs).toBe(new X509Certificate(planner.certPem).validToDate.getTime());
    expect([...(svid?.bundles ?? [])]).toEqual([
      ['other.test', [other.bundlePem]],
      ['acme.test', [acme.bundlePem]],
    ]);
    expect(from.problem()).toBeNull();
    expect(server.opened[0]?.get('workload.spiffe.io')).toEqual(['true']);
  });

  it('serves over TCP', async () => {
    const tcp = await WorkloadApiServer.start('127.0.0.1:0');
    try {
      tcp.server.greeting = responseOf(entry(planner));
      const address = workloadApiTargetFrom(`tcp://127.0.0.1:${tcp.port}`);
      if (typeof address !== 'string') throw new Error(address.problem);
      target = address;
      const from = opened();
      await eventually(() => from.current() !== null, 'an svid arrived');
    } finally {
      source?.close();
      tcp.server.close();
    }
  });

  it('keeps the good svid for each that may not replace it, tells each once, and takes over an SVID that becomes valid', async () => {
    const from = await serving(responseOf(entry(planner)));
    const changes: Svid[] = [];
    from.onChange((svid) => changes.push(svid));
    const given = { authority: acme, path: '/ns/agents/sa/planner' };
    let last = planner.certPem;
    for (const [cause, { svid, bundlePem }] of await refusedRenewals(NOW_MS, given)) {
      problems.length = 0;
      server.push(responseOf(entryOf(svid, bundlePem)));
      await eventually(() => from.refusal()?.cause === cause, `${cause} is refused, not ${from.refusal()?.cause}`);
      expect([from.current()?.certificatePem, changes.length]).toEqual([planner.certPem, 0]);
      expect(problems).toEqual([from.problem()]);
      last = svid.certPem;
    }
    nowMs += HOUR_MS;
    timers.fire();
    await eventually(() => from.current()?.certificatePem === last, 'it is taken over');
    expect([changes.length, from.refusal()]).toEqual([1, null]);
  });

  it('stays the workload that it is if the agent lists another SVID first', async () => {
    const from = await serving(responseOf(entry(planner)));
    server.push(responseOf(entry(reporter), entry(renewed)));
    await eventually(() => from.current()?.certificatePem === renewed.certPem, 'its own svid is renewed');
    expect(from.refusal()).toBeNull();
  });

  it('applies each renewal, and notifies once', async () => {
    const from = await serving(responseOf(entry(planner)));
    const changes: Svid[] = [];
    const end = from.onChange((svid) => changes.push(svid));
    server.push(responseOf(entry(planner)));
    server.push(responseOf(entry(renewed)));
    await eventually(() => from.current()?.certificatePem === renewed.certPem, 'the renewed svid is served');
    expect(changes.map(({ certificatePem }) => certificatePem)).toEqual([renewed.certPem]);

    server.push({ svids: [entry(renewed)], federated_bundles: { 'spiffe://other.test': derOf(other.bundlePem) } });
    await eventually(() => changes.length === 2, 'a bundle that is new was told');
    expect(changes[1]?.bundles.size).toBe(2);

    end();
    server.push(responseOf(entry(planner)));
    await eventually(() => from.current()?.certificatePem === planner.certPem, 'the next svid is served');
    expect(changes.length).toBe(2);
    expect(from.current()?.bundles.size).toBe(1);
  });

  it.each<[string, { id?: string; hint?: string }]>([
    ['its id', { id: 'spiffe://acme.test/ns/agents/sa/reporter' }],
    ['its hint', { hint: 'internal' }],
  ])('picks the svid by %s', async (_how, { id, hint }) => {
    server.greeting = responseOf(entry(planner), entry(reporter, { hint: 'internal' }), entry(renewed));
    const from = opened({
      ...(id === undefined ? {} : { id: mustSpiffeId(id) }),
      ...(hint === undefined ? {} : { hint }),
    });
    await eventually(() => from.current() !== null, 'an svid arrived');
    expect(from.current()?.id).toBe(reporter.id);
  });

  it('drops an svid that is no longer sent', async () => {
    server.greeting = responseOf(entry(planner), entry(reporter));
    const from = opened({ id: reporter.id });
    await eventually(() => from.current() !== null, 'an svid arrived');
    server.push(responseOf(entry(planner)));
    await eventually(() => from.current() === null, 'the svid was given up');
    expect(from.problem()).toBe(
      'the workload api gives 1 svids, none with id `spiffe://acme.test/ns/agents/sa/reporter`',
    );
  });

  it('keeps its svid through a broken stream and opens another', async () => {
    const from = await serving(responseOf(entry(planner)));
    server.end(status.UNAVAILABLE, 'shutting\ndown');
    await problemOf(from, /^the workload api failed with UNAVAILABLE: shutting\?down$/);
    expect(from.current()?.certificatePem).toBe(planner.certPem);
    expect(timers.delays).toEqual([1_000]);
    server.greeting = responseOf(entry(renewed));
    timers.fire();
    await eventually(() => from.current()?.certificatePem === renewed.certPem, 'the renewed svid is served');
    expect(from.problem()).toBeNull();
    expect(server.opened.length).toBe(2);
    expect(problems).toEqual(['the workload api failed with UNAVAILABLE: shutting?down']);
  });

  it.each<[string, number, number[]]>([
    ['without jitter', 0, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]],
    ['with the largest jitter', 1, [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]],
  ])('doubles its back-off after each failure, %s, and resets it after a good message', async (_how, chance, waits) => {
    server.refusal = status.UNAVAILABLE;
    const from = opened({ chance });
    const seen: number[] = [];
    for (const [index] of waits.entries()) {
      // One timer for the answer, one for the next attempt.
      await eventually(() => timers.started === 2 * (index + 1), 'the attempt failed');
      seen.push(...timers.delays.map(Math.round));
      if (index === waits.length - 1) server.refusal = null;
      server.greeting = responseOf(entry(planner));
      timers.fire();
    }
    expect(seen).toEqual(waits);
    await eventually(() => from.current() !== null, 'an svid arrived');
    server.end(status.UNAVAILABLE, 'not now');
    await problemOf(from, /UNAVAILABLE/);
    expect(timers.delays.map(Math.round)).toEqual([waits[0]]);
  });

  it('asks more often near the end of its svid, and once it has ended, whatever failed before (issue 37, found)', async () => {
    const from = await serving(responseOf(entry(planner)));
    const { notAfterMs = 0 } = from.current() ?? {};
    server.refusal = status.UNAVAILABLE;
    server.end(status.UNAVAILABLE, 'gone');
    await problemOf(from, /UNAVAILABLE/);
    const seen: number[] = [];
    const left = [600_000, 600_000, 600_000, 600_000, 600_000, 60_000, 20_000, 4_000, -1, -1];
    for (const leftMs of left) {
      const { started } = timers;
      nowMs = notAfterMs - leftMs;
      timers.fire();
      // One timer for the answer, one for the next attempt.
      await eventually(() => timers.started === started + 2, 'the attempt failed');
      seen.push(...timers.delays);
    }
    expect(seen).toEqual([2_000, 4_000, 8_000, 16_000, 30_000, 15_000, 5_000, 2_000, 2_000, 2_000]);
    server.refusal = null;
    nowMs = NOW_MS;
    server.greeting = responseOf(entry(renewed));
    timers.fire();
    await eventually(() => from.current()?.certificatePem === renewed.certPem, 'the renewed svid is served');
  });

  it('waits for an agent that is not running yet', async () => {
    server.close();
    const from = opened();
    expect(from.problem()).toBe('no svid has been received yet');
    await problemOf(from, /^the workload api failed with UNAVAILABLE: .*ENOENT/);
    expect(from.current()).toBeNull();
    ({ server } = await WorkloadApiServer.start(target));
    server.greeting = responseOf(entry(planner));
    timers.fire();
    await eventually(() => from.current() !== null, 'an svid arrived');
    expect(from.problem()).toBeNull();
  });

  it('reports that no registration entry matches, retries, and drops its svid', async () => {
    const from = opened();
    const denied = 'the workload api has no identity for this process: no registration entry matches it';
    await eventually(() => server.open === 1, 'a stream is open');
    server.end(status.PERMISSION_DENIED, 'no identity issued');
    await eventually(() => from.problem() === denied, 'the denial is told');
    server.greeting = responseOf(entry(planner));
    timers.fire();
    await eventually(() => from.current() !== null, 'an svid arrived');
    server.end(status.PERMISSION_DENIED, 'no identity issued');
    await eventually(() => from.problem() === denied, 'the denial is told');
    expect(from.current()).toBeNull();
    expect(timers.delays).toEqual([1_000]);
  });

  it('discards an unusable message, and keeps the svid and the stream', async () => {
    const from = await serving(responseOf(entry(planner)));
    server.push(responseOf(entry(renewed, { x509_svid_key: entry(planner).x509_svid_key })));
    await problemOf(from, /^a message of the workload api was discarded: the key does not belong to the certificate$/);
    expect(from.current()?.certificatePem).toBe(planner.certPem);
    server.push(responseOf(entry(renewed)));
    await eventually(() => from.current()?.certificatePem === renewed.certPem, 'the renewed svid is served');
    expect(server.opened.length).toBe(1);
  });

  it('keeps its svid after invalid bytes', async () => {
    const from = await serving(responseOf(entry(planner)));
    server.pushBytes(Buffer.from('0affffffffffff', 'hex'));
    await problemOf(from, /^the workload api failed with INTERNAL: /);
    expect(from.current()?.certificatePem).toBe(planner.certPem);
    expect(timers.delays).toEqual([1_000]);
  });

  it('keeps its svid after too large a message', async () => {
    const from = await serving(responseOf(entry(planner)));
    server.push(responseOf(entry(renewed, { bundle: Buffer.alloc(4 * 1024 * 1024) })));
    await problemOf(from, /^the workload api failed with RESOURCE_EXHAUSTED: Received message larger than max/);
    expect(from.current()?.certificatePem).toBe(planner.certPem);
  });

  it('serves its svid until the last instant of its validity', async () => {
    const from = await serving(responseOf(entry(planner)));
    const { notAfterMs = 0 } = from.current() ?? {};
    nowMs = notAfterMs;
    expect(from.current()).not.toBeNull();
    nowMs += 1;
    expect(from.current()).toBeNull();
    expect(from.problem()).toBe(`the svid ended at ${new Date(notAfterMs).toISOString()}`);
    server.end(status.UNAVAILABLE, 'gone');
    await problemOf(from, /^the svid ended at [^ ]+Z: the workload api failed with UNAVAILABLE: gone$/);
  });

  it('opens another stream when the agent has been silent for too long', async () => {
    const from = await serving(responseOf(entry(planner)));
    const { notAfterMs = 0 } = from.current() ?? {};
    expect(timers.delays).toEqual([((notAfterMs - NOW_MS) * 3) / 4]);
    timers.fire();
    await eventually(() => server.opened.length === 2 && server.open === 1, 'one other stream is open');
    expect([from.problem(), problems]).toEqual([null, []]);
  });

  it('reports that the agent does not answer', async () => {
    const from = opened();
    await eventually(() => server.open === 1, 'a stream is open');
    expect(timers.delays).toEqual([30_000]);
    timers.fire();
    expect(from.problem()).toBe('the workload api gave no answer within 30000 ms');
    expect(timers.delays).toEqual([1_000]);
    await eventually(() => server.open === 0, 'the stream was ended');
  });

  it('lets `firstSvid` report why none arrived', async () => {
    const from = opened();
    const waits = new HeldTimers();
    const none = firstSvid(from, { withinMs: 100, after: waits.after });
    waits.fire();
    expect(await none).toEqual({ problem: 'no svid has been received yet' });
    const first = firstSvid(from, { withinMs: 100, after: waits.after });
    await eventually(() => server.open === 1, 'a stream is open');
    server.push(responseOf(entry(planner)));
    expect(await first).toBe(from.current());
    expect(await firstSvid(from, { withinMs: 100, after: waits.after })).toBe(from.current());
    expect(waits.delays).toEqual([]);
  });

  it('ends its stream and its timers when it is closed, and keeps its svid', async () => {
    const from = await serving(responseOf(entry(planner)));
    from.close();
    await eventually(() => server.open === 0, 'the stream was ended');
    expect(timers.delays).toEqual([]);
    expect(from.current()).not.toBeNull();
  });
});

const updateOf = (response: unknown) => svidUpdateFrom(response, anyone, NOW_MS);

describe('svidUpdateFrom', () => {
  it.each<[string, () => unknown, string]>([
    ['no message', () => null, 'the message has no svid'],
    ['no svids', () => ({}), 'the message has no svid'],
    ['an empty list of svids', () => responseOf(), 'the message has no svid'],
    ['an svid that is not a message', () => ({ svids: [7] }), 'the certificates of the svid could not be read'],
    ['no certificate', () => responseOf(entry(planner, { x509_svid: Buffer.alloc(0) })), 'the svid has no certificate'],
    [
      'certificates cut short',
      () => responseOf(entry(planner, { x509_svid: derOf(planner.certPem).subarray(0, -1) })),
      'the certificates of the svid could not be read',
    ],
    [
      'bytes after the certificates',
      () => responseOf(entry(planner, { x509_svid: Buffer.concat([derOf(planner.certPem), Buffer.of(0)]) })),
      'the certificates of the svid could not be read',
    ],
    [
      'a ca as the leaf',
      () => responseOf(entry(planner, { x509_svid: derOf(acme.bundlePem) })),
      'the certificate must not be of a ca',
    ],
    [
      'an invalid key',
      () => responseOf(entry(planner, { x509_svid_key: Buffer.from('key') })),
      'the key of the svid could not be read',
    ],
    [
      'the key of another certificate',
      () => responseOf(entry(planner, { x509_svid_key: entry(renewed).x509_svid_key })),
      'the key does not belong to the certificate',
    ],
    ['an empty bundle', () => responseOf(entry(planner, { bundle: Buffer.alloc(0) })), 'the bundle has no certificate'],
    [
      'an invalid bundle',
      () => responseOf(entry(planner, { bundle: Buffer.from('bundle') })),
      'the bundle of the svid could not be read',
    ],
    [
      'another id than the certificate has',
      () => responseOf(entry(planner, { spiffe_id: reporter.id })),
      'the spiffe id of the certificate differs from that of its message',
    ],
  ])('discards %s', (_what, response, problem) => {
    expect(updateOf(response())).toMatchObject({ kind: 'unusable', problem });
  });

  it('discards an expired svid', () => {
    const update = svidUpdateFrom(responseOf(entry(planner)), anyone, NOW_MS + 2 * HOUR_MS);
    expect(update).toMatchObject({
      kind: 'unusable',
      problem: expect.stringMatching(/^the certificate expired at 2026-/),
    });
  });

  it('reports which of id and hint were not found', () => {
    expect(svidUpdateFrom(responseOf(entry(planner)), { id: planner.id, hint: 'internal' }, NOW_MS)).toEqual({
      kind: 'withdrawn',
      problem:
        'the workload api gives 1 svids, none with id `spiffe://acme.test/ns/agents/sa/planner` and with hint `internal`',
    });
  });

  it('leaves out an invalid foreign bundle, and reports it', () => {
    const update = updateOf({
      svids: [entry(planner)],
      federated_bundles: {
        'spiffe://other.test': derOf(other.bundlePem),
        'spiffe://broken.test': Buffer.from('bundle'),
        'https://odd.test': derOf(other.bundlePem),
      },
    });
    expect(update).toMatchObject({ kind: 'svid', problem: '2 bundles of other trust domains could not be read' });
    expect(update.kind === 'svid' && [...update.svid.bundles.keys()]).toEqual(['other.test', 'acme.test']);
  });

  it('reads the bundle of its own trust domain only from the svid', () => {
    const update = updateOf({
      svids: [entry(planner)],
      federated_bundles: { 'spiffe://acme.test': derOf(other.bundlePem) },
    });
    expect(update.kind === 'svid' && [...update.svid.bundles.values()]).toEqual([[acme.bundlePem]]);
  });
});

describe('workloadApiTargetFrom', () => {
  it.each([
    ['unix:///run/spire/agent.sock', 'unix:/run/spire/agent.sock'],
    ['unix:/run/spire/agent.sock', 'unix:/run/spire/agent.sock'],
    ['tcp://127.0.0.1:8000', 'ipv4:127.0.0.1:8000'],
    ['tcp://[::1]:8000', 'ipv6:[::1]:8000'],
  ])('reads `%s`', (address, target) => {
    expect(workloadApiTargetFrom(address)).toBe(target);
  });

  it.each([
    '',
    '/run/spire/agent.sock',
    'unix:agent.sock',
    'unix://host/agent.sock',
    'unix:///agent.sock?x=1',
    'unix:///agent.sock#x',
    'tcp://localhost:8000',
    'tcp://127.0.0.1',
    'tcp://127.0.0.1:0',
    'tcp://127.0.0.1:65536',
    'tcp://127.0.0.1:8000/foo',
    'tcp://1.2.3:8000',
    'tcp://user@127.0.0.1:8000',
    'https://127.0.0.1:8000',
  ])('refuses `%s`', (address) => {
    expect(workloadApiTargetFrom(address)).toEqual({
      problem: 'a workload api address must be `unix:///absolute/path` or `tcp://ip-address:port`',
    });
  });

  it('refuses a path that is too long for a socket', () => {
    expect(workloadApiTargetFrom(`unix:///${'a'.repeat(107)}`)).toEqual({
      problem: 'a socket path must be at most 107 bytes',
    });
  });
});

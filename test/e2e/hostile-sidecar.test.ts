import { randomBytes, randomUUID } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { beforeAll, expect, it } from '@jest/globals';
import { jtiDigestOf } from '../../src/core/token/jti-digest.ts';
import { mustFind } from '../builders/must.ts';
import { hello, RawClient, tlsWith, welcomed } from '../authority/feed/raw-client.ts';
import { describeWith, envoyPart } from '../parts.ts';
import { until } from '../until.ts';
import { testFolder } from '../builders/test-folders.ts';
import { Fleet } from './fleet.ts';

const ISSUER = 'https://issuer.acme.test';
const MIB = 1_024 ** 2;

const nowSeconds = (): number => Math.floor(Date.now() / 1_000);
const proof = (change: Readonly<Record<string, unknown>> = {}) => ({
  thumbprint: randomBytes(32).toString('base64url'),
  proof_id: randomBytes(16).toString('base64url'),
  issued_at_s: nowSeconds(),
  agent: 'spiffe://acme.test/ns/agents/sa/planner',
  ...change,
});

const claim = (n: number) => ({
  key: { issuer: 'i', id: `no-such-task-${n}` },
  jti_digests: [],
  state: 'active',
  generation: 1,
  history_version: 0,
});

/**
 * What one sidecar with a valid SVID can do to its authority and to the sidecars beside it. The authority and the honest sidecar are processes
 * of `remit serve`, and the honest one answers a real Envoy meanwhile.
 */
describeWith(envoyPart(), 'a hostile sidecar with one SVID (issue 37, point 7)', (envoy) => {
  const scratch = testFolder(async () => {
    for (const client of clients) client.close();
    await fleet?.stop();
  });
  let fleet: Fleet;
  const clients: RawClient[] = [];
  /** Clients with the SVID of one sidecar. */
  let clientsOf: (name: string, count: number) => Promise<readonly RawClient[]>;
  const clientOf = async (name: string): Promise<RawClient> => mustFind((await clientsOf(name, 1))[0]);

  /** The digest and the key of a token, as a sidecar names them. */
  const usedToken = async (constraints: Readonly<Record<string, unknown>>) => {
    const { token, taskId } = await fleet.declare(constraints);
    const claims: { readonly jti: string } = JSON.parse(
      Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'),
    );
    return { token, key: { issuer: ISSUER, id: taskId }, jti_digest: jtiDigestOf(claims.jti) };
  };

  /** The honest sidecar goes on: it has a lease, and its Envoy is answered by a use that is settled. */
  const expectHonest = async (): Promise<void> => {
    await until(async () => (await fleet.readiness('remote')).startsWith('200'), {
      what: 'the honest sidecar is ready',
    });
    expect((await fleet.readiness('authority')).slice(0, 3)).toBe('200');
    const { token } = await fleet.declare({ max_calls: 3 });
    await until(async () => (await fleet.call('remote', token)) === '200', { what: 'a use at the honest sidecar' });
  };

  beforeAll(async () => {
    fleet = await Fleet.start(envoy, scratch.folder);
    const [, target = ''] =
      /authority:\/\/([\d.:]+)/.exec(await readFile(join(fleet.folder, 'remote.yaml'), 'utf8')) ?? [];
    const bundle = await readFile(join(fleet.folder, 'bundle.pem'), 'utf8');
    clientsOf = async (name, count) => {
      const { certificate, key } = await fleet.credential(name, `/ns/pay/sa/${name}`);
      const read = (path: string): Promise<string> => readFile(join(fleet.folder, basename(path)), 'utf8');
      const svid = { certPem: await read(certificate), keyPem: await read(key) };
      const made = Array.from({ length: count }, () => new RawClient(target, tlsWith(svid, bundle)));
      clients.push(...made);
      return made;
    };
  });

  it('fills no memory with proofs of the future or under long names, and honest proofs are taken', async () => {
    const [hostile, honest] = await Promise.all([clientOf('tools-8'), clientOf('tools-2')]);
    const taken: string[] = [];
    for (let batch = 0; batch < 40; batch += 1) {
      const proofs = Array.from({ length: 256 }, (_, n) =>
        proof({ issued_at_s: nowSeconds() + 3_600 + 256 * batch + n, agent: `${batch}-${n}`.padEnd(4_096, 'x') }),
      );
      const reply = await hostile.call('UseProofs', { proofs });
      if (typeof reply !== 'string') taken.push(...reply.reasons);
    }
    expect(taken.length).toBeGreaterThan(0);
    expect(new Set(taken)).toEqual(new Set(['token.proof']));
    // In the name of the honest agent and its key: neither share is the honest sidecar's.
    const { thumbprint } = proof();
    const named = Array.from({ length: 40 }, async () =>
      hostile.call('UseProofs', { proofs: Array.from({ length: 256 }, () => proof({ thumbprint })) }),
    );
    await Promise.all(named);
    expect(await honest.call('UseProofs', { proofs: [proof({ thumbprint }), proof()] })).toEqual({ reasons: ['', ''] });
    await expectHonest();
  });

  it('delays no issuance by what it claims to hold', async () => {
    const hostile = await clientOf('tools-9');
    const streams = Array.from({ length: 4 }, () => hostile.follow());
    for (const [at, stream] of streams.entries())
      stream.send(hello(`hostile-${at}`, { held: Array.from({ length: 60_000 }, (_, n) => claim(at * 100_000 + n)) }));
    await Promise.all(streams.map(welcomed));
    for (let times = 0; times < 5; times += 1) await fleet.declare();
    const answered = streams
      .flatMap(({ downs }) => downs)
      .reduce((sum, down) => sum + (down.of === 'changes' ? down.changes.gone.length : 0), 0);
    // All of these were issued while the authority still had most of that to read.
    expect(answered).toBeLessThan(120_000);
    const more = hostile.follow();
    more.send(hello('hostile-more', { held: Array.from({ length: 80_000 }, (_, n) => claim(n)) }));
    expect(await until(() => more.ended() ?? undefined, { what: 'the end of a stream with too much' })).toBe(
      'INTERNAL',
    );
    await expectHonest();
    for (const { stream } of streams) stream.cancel();
  });

  it('keeps no other identity from beginning a stream, however often it says Hello', async () => {
    const honest = await clientOf('tools-3');
    const hostile = await clientsOf('tools-6', 16);
    const flood = hostile.flatMap((client, at) =>
      Array.from({ length: 125 }, (_, n) => {
        const stream = client.follow();
        stream.send(hello(`flood-${at}-${n}-more`));
        return stream;
      }),
    );
    await until(() => flood.some(({ ended }) => ended() !== null), { what: 'a refusal' });
    const stream = honest.follow();
    stream.send(hello('honest-one'));
    expect(await welcomed(stream)).toMatchObject({ issuer: ISSUER });
    for (const one of flood) one.stream.cancel();
  });

  it('makes no budget, and takes no limit but that of the task', async () => {
    const hostile = await clientOf('tools-7');
    const { key, jti_digest } = await usedToken({ max_calls: 2 });
    const settle = async (spends: readonly unknown[]): Promise<readonly string[]> => {
      const uses = spends.map((spend) => ({
        decision_id: randomUUID(),
        key,
        jti_digest,
        generation: 1,
        spends: [spend],
        entry: null,
        record: Buffer.alloc(0),
      }));
      const reply = await hostile.call('Settle', { instance: 'hostile-one', uses: uses as never });
      return typeof reply === 'string' ? [reply] : reply.settled.map(({ problem }) => problem);
    };
    const before = await sizeOf('state.db');
    const problems: string[] = [];
    for (let batch = 0; batch < 60; batch += 1) {
      const named = Array.from({ length: 250 }, (_, n) => ({
        kind: 'amount',
        name: `${batch}-${n}-`.padEnd(120, 'x'),
        amount: 1,
        limit: 2 ** 52,
      }));
      problems.push(...(await settle(named)));
    }
    expect(new Set(problems)).toEqual(new Set(['exhausted']));
    expect((await sizeOf('state.db')) - before).toBeLessThan(4 * MIB);
    const calls = Array.from({ length: 5 }, () => ({ kind: 'calls', name: '', amount: 1, limit: 1_000_000 }));
    expect(await settle(calls)).toEqual(['', '', 'exhausted', 'exhausted', 'exhausted']);
    await expectHonest();
  });

  const sizeOf = async (name: string): Promise<number> => {
    const sizes = await Promise.all(
      [name, `${name}-wal`].map((file) =>
        stat(join(fleet.folder, file)).then(
          ({ size }) => size,
          () => 0,
        ),
      ),
    );
    return sizes.reduce((sum, size) => sum + size, 0);
  };
});

import { describe, expect, it } from '@jest/globals';
import { isDeny } from '../../../../src/core/decision/decision.ts';
import type { JwksFetch, JwksResponse } from '../../../../src/core/token/jose/jwks-refresh.ts';
import { KeyRing } from '../../../../src/core/token/jose/keys.ts';
import { verifyTaskToken } from '../../../../src/core/token/verify.ts';
import { externalIssuer, mixedRing } from '../external-tokens.ts';
import {
  denied,
  ed25519Key,
  es256Key,
  issuer,
  jwksOf,
  mint,
  nowMs,
  ringOf,
  rs256Key,
  rules,
  type TestKey,
} from '../../../builders/tokens.ts';
import { stillPorts } from '../../../builders/still-ports.ts';

const one = es256Key('one');
const two = es256Key('two');
const unknown = 'unknown key id: header member `kid` is not a key of its issuer';

/** A fake clock with timers. */
class HeldTime {
  nowMs = 0;
  started = 0;
  #timers: { readonly dueAtMs: number; readonly run: () => void }[] = [];

  readonly after = (delayMs: number, run: () => void): (() => void) => {
    const timer = { dueAtMs: this.nowMs + delayMs, run };
    this.#timers.push(timer);
    this.started += 1;
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  };

  /** Advances the clock and runs due timers in order, each until it settles. */
  async pass(durationMs: number): Promise<void> {
    const untilMs = this.nowMs + durationMs;
    for (;;) {
      const [next] = this.#timers.filter(({ dueAtMs }) => dueAtMs <= untilMs).sort((a, b) => a.dueAtMs - b.dueAtMs);
      if (next === undefined) break;
      this.#timers = this.#timers.filter((other) => other !== next);
      this.nowMs = next.dueAtMs;
      next.run();
      await settled();
    }
    this.nowMs = untilMs;
  }

  get pending(): number {
    return this.#timers.length;
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

const answer = (jwks: unknown, over: Partial<JwksResponse> = {}): JwksResponse => ({
  status: 200,
  body: Buffer.from(typeof jwks === 'string' ? jwks : JSON.stringify(jwks)),
  maxAgeSeconds: null,
  etag: null,
  ...over,
});

/** A ring with one remote issuer, whose key server is a replaceable function. */
function ringWith(first: JwksFetch, jitter = 0) {
  const time = new HeldTime();
  const problems: string[] = [];
  const asked: { atMs: number; etag: string | null }[] = [];
  const server = { answers: first };
  const ring = new KeyRing(
    [
      {
        issuer,
        algorithms: ['ES256'],
        source: {
          kind: 'remote',
          fetch: (signal, etag) => {
            asked.push({ atMs: time.nowMs, etag });
            return server.answers(signal, etag);
          },
        },
      },
    ],
    {
      ports: { monotonicMs: () => time.nowMs, randomBytes: (length) => new Uint8Array(length).fill(jitter) },
      after: time.after,
      onProblem: (name, problem) => {
        expect(name).toBe(issuer);
        if (problem !== null) problems.push(problem);
      },
    },
  );
  const keyFor = (key: TestKey) => {
    const found = ring.keyFor(issuer, key.keyId, key.algorithm);
    return isDeny(found) ? denied(found) : 'key';
  };
  return { ring, time, problems, asked, server, keyFor, startsAtMs: () => asked.map(({ atMs }) => atMs) };
}

const serving =
  (...keys: readonly TestKey[]): JwksFetch =>
  () =>
    Promise.resolve(answer(jwksOf(...keys)));
const down: JwksFetch = () => Promise.reject(new Error('connect ECONNREFUSED'));
const refusal = (of: string) => ['token.issuer', `claim \`iss\` is not an issuer of ${of}`];
const held = ['token.keys-unavailable', 'the keys of the issuer are not available'];

describe('KeyRing.keyFor', () => {
  const ring = ringOf([one, ed25519Key('ed'), rs256Key('rs')]);

  it.each<[string, string, string | undefined, string, string, string]>([
    [
      'an issuer that is not trusted',
      'https://evil.test',
      'one',
      'ES256',
      'token.issuer',
      'claim `iss` is not a trusted issuer',
    ],
    [
      'an algorithm outside the list',
      issuer,
      'one',
      'HS256',
      'token.algorithm',
      'header member `alg` is not permitted for its issuer',
    ],
    [
      'a key of another algorithm',
      issuer,
      'rs',
      'ES256',
      'token.algorithm',
      'header member `alg` is not the algorithm of the key',
    ],
    ['an unknown key id', issuer, 'three', 'ES256', 'token.signature', unknown],
    ['an empty key id', issuer, '', 'ES256', 'token.signature', unknown],
  ])('denies %s', (_name, iss, kid, alg, reason, detail) => {
    expect(denied(ring.keyFor(iss, kid, alg))).toEqual([reason, detail]);
  });

  it('chooses a key without a key id only if there is a single key', () => {
    expect(isDeny(ring.keyFor(issuer, undefined, 'ES256'))).toBe(false);
    expect(denied(ringOf([one, two]).keyFor(issuer, undefined, 'ES256'))).toEqual([
      'token.signature',
      'header member `kid` is required to choose a key',
    ]);
  });

  it('returns a key only for the kind of tokens that its issuer is trusted with', () => {
    const kinds = ['remit', 'external', 'transaction'] as const;
    const mixed = mixedRing({ remit: one, external: one, transaction: one });
    const names = [issuer, externalIssuer, 'https://txn.acme.test'];
    const found = names.map((name) => kinds.map((kind) => denied(mixed.keyFor(name, 'one', 'ES256', kind))));
    const key = expect.objectContaining({ type: 'public' });
    expect(found).toEqual([
      [key, refusal('external tokens'), refusal('transaction tokens')],
      [refusal('task tokens'), key, refusal('transaction tokens')],
      [refusal('task tokens'), refusal('external tokens'), key],
    ]);
    expect([...names, 'https://evil.test'].map((name) => mixed.kindOf(name))).toEqual([...kinds, undefined]);
    expect(isDeny(mixed.keyFor(issuer, 'one', 'ES256'))).toBe(false);
    expect(isDeny(mixed.keyFor(externalIssuer, 'one', 'ES256'))).toBe(true);
  });

  it('never uses the keys of one issuer for another', async () => {
    const other = 'https://other.test';
    const both = new KeyRing(
      [
        { issuer, algorithms: ['ES256'], source: { kind: 'static', jwks: jwksOf(one) } },
        { issuer: other, algorithms: ['ES256'], source: { kind: 'static', jwks: jwksOf(two) } },
      ],
      {
        ports: stillPorts,
        after: () => () => undefined,
        onProblem: () => undefined,
      },
    );
    const token = mint(two, { iss: issuer });
    expect(denied(verifyTaskToken(token, rules, both, nowMs))).toEqual(['token.signature', unknown]);
    expect(verifyTaskToken(mint(two, { iss: other }), rules, both, nowMs)).toMatchObject({ kind: 'task-token' });
  });
});

describe('KeyRing.agesMs', () => {
  it('omits static keys', () => {
    expect(ringOf([one]).agesMs()).toEqual(new Map());
  });
});

describe('KeyRing.replace', () => {
  it('replaces static keys atomically, and keeps the old keys if it refuses', () => {
    const problems: string[] = [];
    const ring = new KeyRing([{ issuer, algorithms: ['ES256'], source: { kind: 'static', jwks: { keys: [] } } }], {
      ports: stillPorts,
      after: () => () => undefined,
      onProblem: (_name, problem) => problems.push(problem ?? 'over'),
    });
    expect(problems).toEqual(['the key set member `keys` must be an array of 1 to 100 entries']);
    expect(ring.ready()).toEqual([issuer]);
    expect(denied(ring.keyFor(issuer, 'one', 'ES256'))).toEqual(held);

    expect(ring.replace(issuer, jwksOf(one))).toBeNull();
    expect(ring.ready()).toEqual([]);
    expect(ring.replace(issuer, jwksOf(two, two))).toBe('the key set has two keys with the same `kid`');
    expect(isDeny(ring.keyFor(issuer, 'one', 'ES256'))).toBe(false);
    expect(ring.replace(issuer, jwksOf(two))).toBeNull();
    expect(denied(ring.keyFor(issuer, 'one', 'ES256'))).toEqual(['token.signature', unknown]);
    expect(ring.replace('https://other.test', jwksOf(one))).toBe('issuer `https://other.test` has no static keys here');
  });

  it('does not replace the keys of a key server', async () => {
    const { ring } = ringWith(serving(one));
    await ring.start();
    expect(ring.replace(issuer, jwksOf(two))).toBe(`issuer \`${issuer}\` has no static keys here`);
    ring.close();
  });

  it('throws for an issuer that is named twice', () => {
    const trusted = { issuer, algorithms: ['ES256'], source: { kind: 'static', jwks: jwksOf(one) } } as const;
    const options = {
      ports: stillPorts,
      after: () => () => undefined,
      onProblem: () => undefined,
    };
    expect(() => new KeyRing([trusted, trusted], options)).toThrow(`issuer \`${issuer}\` is named twice`);
  });
});

describe('KeyRing in the background', () => {
  it('is ready after the first response', async () => {
    const { ring, keyFor } = ringWith(serving(one));
    expect(ring.ready()).toEqual([issuer]);
    expect(keyFor(one)).toEqual(held);
    await ring.start();
    expect(ring.ready()).toEqual([]);
    expect(keyFor(one)).toBe('key');
    ring.close();
  });

  it('reports the time since the last success', async () => {
    const { ring, time, server } = ringWith(serving(one));
    expect(ring.agesMs()).toEqual(new Map());
    await ring.start();
    server.answers = down;
    await time.pass(400_000);
    expect(ring.agesMs()).toEqual(new Map([[issuer, 400_000]]));
    server.answers = serving(one);
    await time.pass(100_000);
    expect(ring.agesMs().get(issuer)).toBeLessThan(100_000);
    ring.close();
  });

  it('refreshes every 300 s and loads a rotated key', async () => {
    const { ring, time, server, keyFor, startsAtMs } = ringWith(serving(one));
    await ring.start();
    server.answers = serving(two);
    await time.pass(299_999);
    expect(keyFor(one)).toBe('key');
    await time.pass(1);
    expect(keyFor(two)).toBe('key');
    expect(keyFor(one)).toEqual(['token.signature', unknown]);
    expect(startsAtMs()).toEqual([0, 300_000]);
    ring.close();
  });

  it.each<[string, number | null, number, number]>([
    ['none', null, 0, 300_000],
    ['none, with jitter', null, 255, 270_000],
    ['600 s', 600, 0, 600_000],
    ['0 s', 0, 0, 30_000],
    ['31 s, with jitter', 31, 255, 30_000],
    ['a day', 86_400, 0, 3_600_000],
    ['no number', Number.NaN, 0, 300_000],
  ])('waits, if the server names a max-age of %s', async (_name, maxAgeSeconds, jitter, expectedMs) => {
    const { ring, time, startsAtMs } = ringWith(() => Promise.resolve(answer(jwksOf(one), { maxAgeSeconds })), jitter);
    await ring.start();
    await time.pass(3_600_000);
    expect(Math.abs((startsAtMs()[1] ?? 0) - expectedMs)).toBeLessThan(expectedMs / 1000);
    ring.close();
  });

  it('keeps the keys while the server is down, until the grace period ends', async () => {
    const { ring, time, server, problems, keyFor } = ringWith(serving(one));
    await ring.start();
    server.answers = down;
    await time.pass(86_400_000);
    expect(keyFor(one)).toBe('key');
    expect(ring.ready()).toEqual([]);
    await time.pass(1);
    expect(keyFor(one)).toEqual(held);
    expect(ring.ready()).toEqual([issuer]);
    expect(new Set(problems)).toEqual(new Set(['the key server could not be asked: connect ECONNREFUSED']));
    server.answers = serving(one);
    await time.pass(60_000);
    expect(keyFor(one)).toBe('key');
    ring.close();
  });

  it('backs off for 1 s, 2 s, 4 s and so on, up to 60 s', async () => {
    const { ring, time, startsAtMs } = ringWith(down);
    await ring.start();
    await time.pass(200_000);
    expect(startsAtMs()).toEqual([0, 1, 3, 7, 15, 31, 63, 123, 183].map((seconds) => seconds * 1000));
    ring.close();
  });

  it.each<[string, JwksFetch, string]>([
    [
      'an error status',
      () => Promise.resolve(answer(jwksOf(two), { status: 500 })),
      'the key server answered with status 500',
    ],
    [
      'a redirect',
      () => Promise.resolve(answer(jwksOf(two), { status: 302 })),
      'the key server answered with status 302',
    ],
    ['a page', () => Promise.resolve(answer('<html>')), 'the key set is not valid JSON'],
    ['nothing', () => Promise.resolve(answer('')), 'the key set is not valid JSON'],
    ['another shape', () => Promise.resolve(answer([])), 'the key set must be an object'],
    [
      'a member twice',
      () => Promise.resolve(answer('{"keys":[],"keys":[]}')),
      'the key set has a duplicate member name',
    ],
    ['too much', () => Promise.resolve(answer(' '.repeat(262_145))), 'the key set is larger than 262144 bytes'],
    [
      'a symmetric key',
      () => Promise.resolve(answer({ keys: [two.jwk, { kty: 'oct', k: 'AA' }] })),
      'the key set member `keys` entry 1 is symmetric',
    ],
    [
      'an emptied set',
      () => Promise.resolve(answer({ keys: [] })),
      'the key set member `keys` must be an array of 1 to 100 entries',
    ],
    [
      'a throw',
      () => {
        throw new Error('bug');
      },
      'the key server could not be asked: bug',
    ],
    ['a rejection without an error', () => Promise.reject('text'), 'the key server could not be asked: unknown error'],
  ])('keeps the old keys when the server answers with %s', async (_name, bad, problem) => {
    const { ring, time, server, problems, keyFor } = ringWith(serving(one));
    await ring.start();
    server.answers = bad;
    await time.pass(300_000);
    expect(problems).toEqual([problem]);
    expect(keyFor(one)).toBe('key');
    expect(keyFor(two)).toEqual(['token.signature', unknown]);
    ring.close();
  });

  it('times out after 5 s', async () => {
    let aborted = 0;
    const { ring, time, problems, keyFor } = ringWith((signal) => {
      signal.addEventListener('abort', () => (aborted += 1));
      return new Promise(() => undefined);
    });
    const started = ring.start();
    await time.pass(4_999);
    expect(problems).toEqual([]);
    await time.pass(1);
    await started;
    expect(problems).toEqual(['the key server gave no answer within 5000 ms']);
    expect(aborted).toBe(1);
    expect(keyFor(one)).toEqual(held);
    ring.close();
  });

  it('sends the ETag of the current set, and counts 304 as a success', async () => {
    const { ring, time, server, asked, problems, keyFor } = ringWith(() =>
      Promise.resolve(answer(jwksOf(one), { etag: '"1"' })),
    );
    await ring.start();
    server.answers = () => Promise.resolve(answer('{}', { etag: '"2"' }));
    await time.pass(300_000);
    server.answers = () => Promise.resolve(answer('', { status: 304 }));
    await time.pass(1_000);
    expect(asked.map(({ etag }) => etag)).toEqual([null, '"1"', '"1"']);
    expect(problems).toEqual(['the key set member `keys` is required']);
    await time.pass(86_000_000);
    expect(keyFor(one)).toBe('key');
    expect(problems).toHaveLength(1);
    ring.close();
  });

  it('counts 304 as a failure without a current set', async () => {
    const { ring, problems } = ringWith(() => Promise.resolve(answer('', { status: 304 })));
    await ring.start();
    expect(problems).toEqual(['the key server answered with status 304']);
    ring.close();
  });

  it('refreshes early for an unknown key id, at most every 30 s, without waiting', async () => {
    const { ring, time, server, keyFor, startsAtMs } = ringWith(serving(one));
    await ring.start();
    server.answers = serving(one, two);
    await time.pass(10_000);
    for (let round = 0; round < 1000; round++) expect(keyFor(two)).toEqual(['token.signature', unknown]);
    await time.pass(19_999);
    expect(startsAtMs()).toEqual([0]);
    await time.pass(1);
    expect(startsAtMs()).toEqual([0, 30_000]);
    expect(keyFor(two)).toBe('key');
    await time.pass(40_000);
    expect(keyFor(es256Key('three'))).toEqual(['token.signature', unknown]);
    await time.pass(0);
    expect(startsAtMs()).toEqual([0, 30_000, 70_000]);
    ring.close();
  });

  it('does not let a flood of unknown key ids postpone the refresh', async () => {
    const { ring, time, keyFor } = ringWith(serving(one));
    await ring.start();
    await time.pass(60_000);
    const before = time.started;
    for (let round = 0; round < 100; round++) {
      keyFor(two);
      time.nowMs += 0.5;
    }
    expect(time.started - before).toBe(1);
    ring.close();
  });

  it('counts failed attempts: unknown key ids cannot flood a server that is down', async () => {
    const { ring, time, server, keyFor, startsAtMs } = ringWith(serving(one));
    await ring.start();
    server.answers = down;
    await time.pass(300_000);
    for (let second = 0; second < 300; second++) {
      keyFor(two);
      await time.pass(1_000);
    }
    const attempts = startsAtMs().slice(1);
    // Retries after 1 to 60 s, which hints bring forward to at most 30 s.
    expect(attempts.length).toBeLessThanOrEqual(6 + 10);
    expect(keyFor(one)).toBe('key');
    ring.close();
  });

  it('makes one attempt at a time', async () => {
    const { ring, time, keyFor, startsAtMs, server } = ringWith(serving(one));
    await ring.start();
    server.answers = () => new Promise(() => undefined);
    await time.pass(300_000);
    keyFor(two);
    await time.pass(4_000);
    expect(startsAtMs()).toEqual([0, 300_000]);
    ring.close();
  });

  it('stops for good, also during an attempt', async () => {
    let isAborted = false;
    const { ring, time, keyFor, problems, server, startsAtMs } = ringWith(serving(one));
    await ring.start();
    server.answers = (signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          isAborted = true;
          reject(new Error('aborted'));
        });
      });
    await time.pass(300_000);
    ring.close();
    ring.close();
    await settled();
    keyFor(two);
    await time.pass(10_000_000);
    expect({ isAborted, pending: time.pending, problems, starts: startsAtMs() }).toEqual({
      isAborted: true,
      pending: 0,
      problems: [],
      starts: [0, 300_000],
    });
    expect(keyFor(one)).toBe('key');
    await ring.start();
    expect(startsAtMs()).toHaveLength(2);
  });
});

describe('keys that an authority announces', () => {
  const announced = jwksOf(one);
  const denial = ['token.signature', unknown];

  it('are all keys of the issuer, also if there are none', () => {
    const { ring, keyFor } = ringWith(down);
    expect(ring.announce(issuer, announced)).toBeNull();
    expect([keyFor(one), ring.isHeld(issuer, 'one')]).toEqual(['key', true]);
    expect(ring.announce(issuer, { keys: [] })).toBeNull();
    expect([keyFor(one), ring.isHeld(issuer, 'one')]).toEqual([denial, false]);
    // The issuer is known: there is nothing to wait for.
    expect(ring.ready()).toEqual([]);
    ring.close();
  });

  it('replace those of a key server or a file, which may still have a revoked key', async () => {
    const { ring, keyFor, startsAtMs, time } = ringWith(serving(one, two));
    await ring.start();
    ring.announce(issuer, announced);
    expect([keyFor(one), keyFor(two)]).toEqual(['key', denial]);
    await time.pass(10_000_000);
    expect(startsAtMs()).toEqual([0]);
    expect(ring.replace(issuer, jwksOf(two))).toContain('come from the authority');
    expect(keyFor(two)).toEqual(denial);
  });

  it.each([
    ['is no key set', 'nonsense'],
    ['has a key that cannot be used', { keys: [{ kty: 'EC' }] }],
    ['is absent', undefined],
  ])('withdraw all if the set %s', (_name, jwks) => {
    const { ring, keyFor, problems } = ringWith(down);
    ring.announce(issuer, announced);
    expect(ring.announce(issuer, jwks)).toContain('the key set of the authority');
    expect(keyFor(one)).toEqual(denial);
    expect(problems).toHaveLength(1);
    ring.close();
  });

  it('are refused for an issuer of other tokens', () => {
    const ring = mixedRing({ external: two });
    const before = ring.keyFor(externalIssuer, two.keyId, two.algorithm, 'external');
    expect(ring.announce(externalIssuer, announced)).toContain('is an issuer of external tokens here');
    expect(ring.keyFor(externalIssuer, two.keyId, two.algorithm, 'external')).toEqual(before);
    expect(ring.isHeld(externalIssuer, 'one')).toBe(false);
  });
});

describe('a ring that may not have heard of every key (issue 37, point 14)', () => {
  const ring = (mayBeBehind: boolean) =>
    new KeyRing([{ issuer, algorithms: ['ES256'], source: { kind: 'static', jwks: jwksOf(one) } }], {
      ports: stillPorts,
      after: () => () => undefined,
      onProblem: () => undefined,
      mayBeBehind: () => mayBeBehind,
    });

  it.each<[string, TestKey, Readonly<Record<string, unknown>>, string]>([
    ['an unknown issuer', one, { iss: 'https://other.test' }, 'token.issuer'],
    ['an unknown key', two, {}, 'token.signature'],
  ])('calls %s a fault of its own until then', (_what, key, claims, reason) => {
    const token = mint(key, claims);
    expect(denied(verifyTaskToken(token, rules, ring(true), nowMs))).toEqual([
      'token.keys-unavailable',
      expect.any(String),
    ]);
    expect(denied(verifyTaskToken(token, rules, ring(false), nowMs))).toEqual([reason, expect.any(String)]);
  });

  it('still refuses a signature that a known key did not make', () => {
    const forged = `${mint(one).split('.').slice(0, 2).join('.')}.${mint(one, { jti: 'another-token-id-0001' }).split('.')[2]}`;
    expect(denied(verifyTaskToken(forged, rules, ring(true), nowMs))).toEqual(['token.signature', expect.any(String)]);
  });
});

// Issue 42, point 4: a receiver of signals can be tried before the night on which it is needed.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { newSigningKey } from '../../src/authority/issuer/keys/signing-key.ts';
import type { SigningKey } from '../../src/authority/issuer/keys/signing-key.ts';
import { verifyReceiver } from '../../src/authority/issuer/transmit/verification.ts';
import { signalsVerify } from '../../src/cli/signals-verify.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { AdminServer } from '../../src/serve/admin/server.ts';
import { Receiver } from '../authority/issuer/transmit/receiver.ts';
import { testFolders } from '../builders/test-folders.ts';
import { issuer } from '../builders/task.ts';
import { until } from '../until.ts';
import { ran } from './ledgers.ts';

const EVENT = 'https://schemas.openid.net/secevent/ssf/event-type/verification';
const AUDIENCE = 'https://siem.acme.test';

const folder = testFolders();
let key: SigningKey;
let unsigned: string | null;
let receiver: Receiver;
let admin: AdminServer;
let base: string;
let bearer: string;
/** By which the admin server bounds verification events. */
let nowMs = 0;

/** The admin server of an issuer with the receivers `siem` and `gone`. */
const adminOf = (): AdminServer => {
  const target = { audience: AUDIENCE, tokenFile: bearer, ca: receiver.caFile };
  const urls = new Map([
    ['siem', receiver.url],
    ['gone', 'https://localhost:1/events'],
  ]);
  const answers = {
    scrape: () => ({ contentType: '', body: '' }),
    trial: () => ({}),
    verification: (name: string, state: string | null) => {
      const url = urls.get(name);
      const keys = { problem: () => unsigned, current: () => key };
      return url === undefined
        ? null
        : verifyReceiver({ ...target, name, url }, { keys, issuer, ports: systemPorts }, state);
    },
  };
  return new AdminServer([], answers, { monotonicMs: () => nowMs });
};

beforeAll(async () => {
  key = await newSigningKey();
});
beforeEach(async () => {
  const place = folder();
  receiver = await Receiver.start(place);
  bearer = join(place, 'bearer');
  writeFileSync(bearer, 'token-of-the-transmitter\n');
  unsigned = null;
  admin = adminOf();
  base = `http://127.0.0.1:${await admin.listen({ host: '127.0.0.1', port: 0 })}`;
});
afterEach(async () => {
  await admin.close();
  await receiver.close();
});

/** Runs the command a second after the one before. */
const verify = (...args: readonly string[]) => {
  nowMs += 1_000;
  return ran(signalsVerify, ...args, '--admin', base);
};

describe('remit signals verify', () => {
  it.each([
    [
      'with the state that the receiver asked for',
      ['--state', 'VGhpcyBpcyBhbiBleGFtcGxl?&=/ü'],
      'VGhpcyBpcyBhbiBleGFtcGxl?&=/ü',
    ],
    ['without a state', [], undefined],
  ])('sends a signed verification event %s, and says that it was accepted', async (_name, words, state) => {
    const { exit, err, out } = await verify('siem', ...words);
    expect([exit, err]).toEqual([0, '']);
    const [request] = receiver.received;
    expect(receiver.received).toHaveLength(1);
    expect(request).toMatchObject({
      method: 'POST',
      contentType: 'application/secevent+jwt',
      authorization: 'Bearer token-of-the-transmitter',
    });
    const jwks = createLocalJWKSet({ keys: [key.publicJwk] });
    const checks = { issuer, audience: AUDIENCE, typ: 'secevent+jwt', requiredClaims: ['iat', 'jti'] };
    const { payload } = await jwtVerify(request?.body ?? '', jwks, checks);
    expect(payload).toEqual({
      iss: issuer,
      aud: AUDIENCE,
      iat: expect.any(Number),
      jti: expect.stringMatching(/^[\w-]{22}$/),
      sub_id: { format: 'opaque', id: 'siem' },
      events: { [EVENT]: state === undefined ? {} : { state } },
    });
    expect(out).toBe(`receiver \`siem\` accepted the verification event \`${payload.jti}\` with 202\n`);
  });

  it('prints JSON, and each event has a number of its own', async () => {
    const answers = [await verify('siem', '--json'), await verify('siem', '--json')].map(({ out }) => JSON.parse(out));
    expect(answers).toEqual(
      [1, 2].map(() => ({ receiver: 'siem', result: 'taken', status: 202, jti: expect.any(String) })),
    );
    expect(new Set(answers.map(({ jti }) => jti)).size).toBe(2);
  });

  it.each<[string, [number, string?], RegExp]>([
    [
      'another state',
      [400, '{"err":"invalid_state","description":"not mine"}'],
      /did not take .*: the receiver answered 400 invalid_state not mine$/,
    ],
    ['no such event', [400, '{"err":"invalid_request"}'], /refused .*: the receiver answered 400 invalid_request$/],
    ['a wrong token', [401], /did not take .*: the receiver answered 401$/],
    ['a redirect, which is not followed', [302], /did not take .*: the receiver answered 302$/],
  ])('ends with 1 and says why if the receiver answers %s', async (_name, answer, words) => {
    receiver.answer = () => answer;
    const { exit, out } = await verify('siem');
    expect([exit, out.trim()]).toEqual([1, expect.stringMatching(words)]);
    expect(out).not.toContain('token-of-the-transmitter');
  });

  it('ends with 1 if the receiver is not reached, or nothing can be signed yet', async () => {
    expect(await verify('gone')).toMatchObject({ exit: 1, out: expect.stringContaining('ECONNREFUSED') });
    unsigned = 'the first key signs in 9 s';
    expect(await verify('siem')).toMatchObject({ exit: 1, out: expect.stringContaining('the first key signs in 9 s') });
    const usable = key;
    unsigned = null;
    key = { ...usable, sign: () => Promise.reject(new Error('the words of a key')) };
    try {
      const { exit, out } = await verify('siem');
      expect([exit, out]).toEqual([1, expect.stringContaining('the event cannot be signed')]);
      expect(out).not.toContain('the words of a key');
    } finally {
      key = usable;
    }
    expect(receiver.received).toEqual([]);
  });

  it.each([
    ['no name', [], 'the name of a receiver of `issuer.signals.transmit` is required'],
    ['another name', ['other'], 'answered 404: this process has no receiver of signals of that name'],
    ['a name that is none', ['../x'], 'answered 404: not found'],
    ['an empty state', ['siem', '--state', ''], '--state must have 1 to 256 characters'],
    ['a long state', ['siem', '--state', 'x'.repeat(257)], '--state must have 1 to 256 characters'],
  ])('ends with 2 for %s', async (_name, words, message) => {
    expect(await verify(...words)).toMatchObject({ exit: 2, out: '', err: expect.stringContaining(message) });
    expect(receiver.received).toEqual([]);
  });
});

const at = '/signals/siem/verification';
const statusOf = async (path: string, init: RequestInit = { method: 'POST' }, to = base) =>
  (await fetch(`${to}${path}`, init)).status;

describe('POST /signals/{receiver}/verification', () => {
  it.each<[string, string, RequestInit, number]>([
    ['a GET, which has no effect', at, {}, 405],
    ['a page of another site', at, { method: 'POST', headers: { origin: 'https://evil.test' } }, 403],
    ['a state that is too long', `${at}?state=${'x'.repeat(257)}`, { method: 'POST' }, 400],
    ['a state that is cut', `${at}?state=%E0%A4`, { method: 'POST' }, 400],
    ['another query', `${at}?other=1`, { method: 'POST' }, 404],
  ])('sends nothing for %s', async (_name, path, init, status) => {
    expect(await statusOf(path, init)).toBe(status);
    expect(receiver.received).toEqual([]);
  });

  it('is answered to this host alone', async () => {
    const reached = adminOf();
    try {
      const port = await reached.listen({ host: '0.0.0.0', port: 0 });
      expect(await statusOf(at, { method: 'POST' }, `http://127.0.0.1:${port}`)).toBe(403);
      expect(receiver.received).toEqual([]);
    } finally {
      await reached.close();
    }
  });

  it('tries one receiver at a time', async () => {
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    let trying = 0;
    const answers = {
      scrape: () => ({ contentType: '', body: '' }),
      trial: () => ({}),
      verification: async () => {
        trying += 1;
        await held;
        return {};
      },
    };
    const server = new AdminServer([], answers, { monotonicMs: () => nowMs });
    try {
      const port = await server.listen({ host: '127.0.0.1', port: 0 });
      const to = `http://127.0.0.1:${port}`;
      const first = statusOf(at, { method: 'POST' }, to);
      await until(async () => trying === 1, { what: 'the first trial' });
      nowMs += 1_000;
      expect(await statusOf(at, { method: 'POST' }, to)).toBe(503);
      release();
      expect(await first).toBe(200);
      expect(await statusOf(at, { method: 'POST' }, to)).toBe(200);
    } finally {
      await server.close();
    }
  });

  it('sends one event a second at most, whatever the receiver', async () => {
    nowMs += 1_000;
    expect(await statusOf(at)).toBe(200);
    nowMs += 999;
    for (const name of ['siem', 'gone']) {
      const response = await fetch(`${base}/signals/${name}/verification`, { method: 'POST' });
      expect([response.status, await response.text()]).toEqual([
        503,
        'a receiver was tried less than a second ago: try again\n',
      ]);
    }
    expect(receiver.received).toHaveLength(1);
    nowMs += 1;
    expect(await statusOf(at)).toBe(200);
    expect(receiver.received).toHaveLength(2);
  });
});

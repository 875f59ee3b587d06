import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { isDeny } from '../../../../src/core/decision/decision.ts';
import { type PublicJwks, SigningKeys } from '../../../../src/authority/issuer/keys/signing-keys.ts';
import { systemPorts } from '../../../../src/core/runtime/ports.ts';
import { testFolders } from '../../../builders/test-folders.ts';
import { until } from '../../../until.ts';
import { must } from '../../../builders/must.ts';

const folder = testFolders();

const START_MS = Date.parse('2026-08-01T00:00:00Z');

/** A fake clock with timers. */
const held = () => {
  const clock = { nowMs: START_MS };
  const waiting: { readonly atMs: number; readonly run: () => void }[] = [];
  const seen: PublicJwks[] = [];
  const problems: string[] = [];
  return {
    clock,
    seen,
    problems,
    waiting,
    options: {
      ports: { nowMs: () => clock.nowMs, randomBytes: systemPorts.randomBytes },
      after: (delayMs: number, run: () => void) => {
        const entry = { atMs: clock.nowMs + delayMs, run };
        waiting.push(entry);
        return () => void waiting.splice(waiting.indexOf(entry), 1);
      },
      onProblem: (problem: string | null) => void problems.push(problem ?? 'over'),
      onPublished: (jwks: PublicJwks) => void seen.push(jwks),
    },
  };
};

const mustOpen = async (path: string, options: ReturnType<typeof held>['options']): Promise<SigningKeys> =>
  must(await SigningKeys.open(path, options));
const idsOf = (keys: SigningKeys): readonly unknown[] => keys.jwks().keys.map(({ kid }) => kid);
const newPem = () =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' });
const MINUTE_MS = 60_000;

describe('SigningKeys in a folder', () => {
  it('calls `onPublished` again after it threw', async () => {
    const path = join(folder(), 'keys');
    const { options, problems, seen, waiting } = held();
    const keys = await mustOpen(path, {
      ...options,
      onPublished: (jwks) => {
        seen.push(jwks);
        if (seen.length === 2) throw new Error('no room');
      },
    });
    const look = async (): Promise<void> => {
      waiting.shift()?.run();
      await until(() => waiting.length === 1);
    };
    writeFileSync(join(path, 'another.pem'), newPem(), { mode: 0o600 });
    await look();
    expect(problems).toEqual(['the signing keys could not be read again: Error: no room']);
    expect(idsOf(keys)).toHaveLength(2);
    await look();
    expect(seen.map((jwks) => jwks.keys.length)).toEqual([1, 2, 2]);
    await look();
    expect(seen).toHaveLength(3);
    keys.close();
  });

  it('creates the folder and a key that signs at once, accessible to their owner only', async () => {
    const path = join(folder(), 'keys');
    const keys = await mustOpen(path, held().options);
    expect(keys.current().algorithm).toBe('ES256');
    expect(idsOf(keys)).toEqual([keys.current().keyId]);
    expect(statSync(path).mode & 0o777).toBe(0o700);
    for (const name of readdirSync(path)) expect(statSync(join(path, name)).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(path, 'published.json'), 'utf8')).not.toContain('"d"');
  });

  it('publishes the next key before it signs, and the old key until its last token expired', async () => {
    const { clock, options, seen } = held();
    const path = join(folder(), 'keys');
    const keys = await mustOpen(path, options);
    const old = keys.current().keyId;
    clock.nowMs += MINUTE_MS;
    expect(await keys.rotate()).toBeNull();
    const [next] = idsOf(keys);
    expect(idsOf(keys)).toEqual([next, old]);
    expect(seen.map((jwks) => jwks.keys.length)).toEqual([1, 2]);
    expect(keys.current().keyId).toBe(old);
    clock.nowMs += 6 * MINUTE_MS - 1;
    expect(keys.current().keyId).toBe(old);
    clock.nowMs += 1;
    expect(keys.current().keyId).toBe(next);
    clock.nowMs += 16 * MINUTE_MS - 1;
    await keys.reload();
    expect(idsOf(keys)).toEqual([next, old]);
    expect(isDeny(keys.verificationKey(old, 'ES256'))).toBe(false);
    clock.nowMs += 1;
    await keys.reload();
    expect(idsOf(keys)).toEqual([next]);
    expect(keys.verificationKey(old, 'ES256')).toMatchObject({ reason: 'token.signature' });
    expect(readdirSync(path).filter((name) => name.endsWith('.pem'))).toHaveLength(1);
  });

  it('continues a rotation after a restart', async () => {
    const { clock, options } = held();
    const path = join(folder(), 'keys');
    const first = await mustOpen(path, options);
    const old = first.current().keyId;
    clock.nowMs += MINUTE_MS;
    await first.rotate();
    clock.nowMs += 3 * MINUTE_MS;
    await first.rotate();
    const published = idsOf(first);
    clock.nowMs += 3 * MINUTE_MS;
    const second = await mustOpen(path, options);
    expect(idsOf(second)).toEqual(published);
    expect(second.current().keyId).not.toBe(old);
    expect(second.current().keyId).not.toBe(published[0]);
    clock.nowMs += 3 * MINUTE_MS;
    expect(second.current().keyId).toBe(published[0]);
  });

  it('loads an added file at the next reload, and withdraws a removed file', async () => {
    const { clock, options, waiting } = held();
    const path = join(folder(), 'keys');
    const keys = await mustOpen(path, options);
    const old = keys.current().keyId;
    writeFileSync(join(path, 'dropped.pem'), newPem(), { mode: 0o600 });
    clock.nowMs += MINUTE_MS;
    waiting.shift()?.run();
    await until(() => idsOf(keys).length === 2);
    expect(idsOf(keys)).toHaveLength(2);
    expect(keys.current().keyId).toBe(old);
    for (const name of readdirSync(path)) if (name.startsWith('2026')) rmSync(join(path, name));
    expect(await keys.reload()).toBeNull();
    expect(idsOf(keys)).toHaveLength(1);
    expect(keys.current().keyId).not.toBe(old);
    keys.close();
  });

  it('keeps the old keys if a file is invalid, and reports it once', async () => {
    const { options, problems } = held();
    const path = join(folder(), 'keys');
    const keys = await mustOpen(path, options);
    const before = idsOf(keys);
    writeFileSync(join(path, 'bad.pem'), 'secret words', { mode: 0o600 });
    expect(await keys.reload()).toMatch(/bad\.pem. must be a PKCS#8 PEM or a private JWK$/);
    await keys.reload();
    expect(problems).toHaveLength(1);
    expect(problems[0]).not.toContain('secret words');
    expect(idsOf(keys)).toEqual(before);
    rmSync(join(path, 'bad.pem'));
    expect(await keys.reload()).toBeNull();
  });

  it.each<[string, (path: string) => void, RegExp]>([
    [
      'a folder that others may write',
      (path) => {
        mkdirSync(path);
        chmodSync(path, 0o777);
      },
      /is writable by others$/,
    ],
    [
      'a key that others may read',
      (path) => {
        mkdirSync(path);
        writeFileSync(join(path, 'a.pem'), newPem(), { mode: 0o644 });
      },
      /has mode 0644, open to others/,
    ],
    [
      'a list of published keys that is corrupt',
      (path) => {
        mkdirSync(path);
        writeFileSync(join(path, 'published.json'), '{"keys":[{}]}', { mode: 0o600 });
      },
      /^the list of published keys `.*` member `keys` entry 0 member `publishedMs` is required$/,
    ],
    [
      'a list of published keys that others may write',
      (path) => {
        mkdirSync(path);
        writeFileSync(join(path, 'published.json'), '{"keys":[]}');
        chmodSync(join(path, 'published.json'), 0o666);
      },
      /^the list of published keys `.*` has mode 0666/,
    ],
  ])('refuses to open %s', async (_name, prepare, problem) => {
    const path = join(folder(), 'keys');
    prepare(path);
    const keys = await SigningKeys.open(path, held().options);
    expect('problem' in keys && keys.problem).toMatch(problem);
  });

  it('keeps the order of keys published within one millisecond, or while the clock steps back', async () => {
    const { clock, options } = held();
    const keys = await mustOpen(join(folder(), 'keys'), options);
    const [first] = idsOf(keys);
    await keys.rotate();
    const [second] = idsOf(keys);
    clock.nowMs -= MINUTE_MS;
    await keys.rotate();
    expect(idsOf(keys).slice(1)).toEqual([second, first]);
    clock.nowMs += 10 * MINUTE_MS;
    expect(keys.current().keyId).toBe(idsOf(keys)[0]);
  });

  it('never revives a dead key when the clock steps back', async () => {
    const { clock, options } = held();
    const keys = await mustOpen(join(folder(), 'keys'), options);
    const old = keys.current().keyId;
    await keys.rotate();
    clock.nowMs += 30 * MINUTE_MS;
    await keys.reload();
    clock.nowMs = START_MS;
    expect(keys.current().keyId).not.toBe(old);
    await keys.reload();
    expect(idsOf(keys)).not.toContain(old);
  });
});

describe('SigningKeys in one file', () => {
  it('creates the file, and signs with a new key at once while the old public key stays published', async () => {
    const { clock, options } = held();
    const path = join(folder(), 'signing-key.pem');
    const keys = await mustOpen(path, options);
    const old = keys.current().keyId;
    expect(await keys.rotate()).toMatch(/is one key file: rotation needs a folder$/);
    writeFileSync(path, newPem(), { mode: 0o600 });
    clock.nowMs += MINUTE_MS;
    expect(await keys.reload()).toBeNull();
    const next = keys.current().keyId;
    expect(next).not.toBe(old);
    expect(idsOf(keys)).toEqual([next, old]);
    const restarted = await mustOpen(path, options);
    expect(idsOf(restarted)).toEqual([next, old]);
    clock.nowMs += 22 * MINUTE_MS;
    await restarted.reload();
    expect(idsOf(restarted)).toEqual([next]);
  });
});

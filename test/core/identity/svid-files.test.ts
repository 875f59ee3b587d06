import { createPrivateKey } from 'node:crypto';
import { chmod, mkdir, mkdtemp, rename, rm, symlink, truncate, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  createAuthority,
  type CertificateAuthority,
  type IssuedCertificate,
  type IssuedSvid,
} from '../../../src/dev/authority.ts';
import type { Svid } from '../../../src/core/identity/svid.ts';
import { SvidFileSource, type SvidFiles } from '../../../src/core/identity/svid-files.ts';
import { NOW_MS } from './certificates.ts';
import { eventually, HeldTimers } from './held-timers.ts';
import { refusedRenewals } from './refused-renewals.ts';

const POLL_MS = 5_000;

let acme: CertificateAuthority;
let planner: IssuedSvid;
let renewed: IssuedSvid;

beforeAll(async () => {
  acme = await createAuthority('acme.test', { nowMs: () => NOW_MS, randomBytes: (n) => Buffer.alloc(n, 7) });
  planner = await acme.svid('/ns/agents/sa/planner');
  renewed = await acme.svid('/ns/agents/sa/planner');
});

const serves = (from: SvidFileSource, svid: IssuedCertificate): Promise<void> =>
  eventually(() => from.current()?.certificatePem === svid.certPem && from.problem() === null, 'the svid is served');
const says = (from: SvidFileSource, problem: string): Promise<void> =>
  eventually(() => from.problem() === problem, `\`${problem}\` is told, it is \`${from.problem()}\``);

describe('SvidFileSource', () => {
  let folder: string;
  let files: SvidFiles;
  let polls: HeldTimers;
  let nowMs: number;
  let clock: () => number;
  let source: SvidFileSource | null;
  let problems: string[];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'svid-files-'));
    files = {
      certificate: join(folder, 'svid.pem'),
      key: join(folder, 'svid.key'),
      bundle: join(folder, 'bundle.pem'),
    };
    polls = new HeldTimers();
    nowMs = NOW_MS;
    clock = () => nowMs;
    source = null;
    problems = [];
  });
  afterEach(async () => {
    source?.close();
    await rm(folder, { recursive: true });
  });

  /** The settle delay is short and real; the poll is controlled by the test. */
  const opened = async (): Promise<SvidFileSource> => {
    source = await SvidFileSource.open({
      ...files,
      ports: { nowMs: () => clock() },
      after: (delayMs, run) => {
        if (delayMs === POLL_MS) return polls.after(delayMs, run);
        const timer = setTimeout(run, delayMs / 10);
        return () => clearTimeout(timer);
      },
      onProblem: (problem) => void (problem !== null && problems.push(problem)),
    });
    return source;
  };
  const write = async (svid: IssuedCertificate, bundlePem: string = acme.bundlePem): Promise<void> => {
    await writeFile(files.certificate, svid.certPem);
    await writeFile(files.key, svid.keyPem, { mode: 0o600 });
    await writeFile(files.bundle, bundlePem);
  };

  it('serves the existing svid when it opens', async () => {
    await write(planner);
    const svid = (await opened()).current();
    expect(svid).toMatchObject({
      id: 'spiffe://acme.test/ns/agents/sa/planner',
      certificatePem: planner.certPem,
      keyPem: planner.keyPem,
    });
    expect([...(svid?.bundles ?? [])]).toEqual([['acme.test', [acme.bundlePem]]]);
    expect(source?.problem()).toBeNull();
  });

  it('applies the next change after a listener or a reading threw', async () => {
    await write(planner);
    const from = await opened();
    const changes: Svid[] = [];
    from.onChange(() => {
      throw new Error('no such key');
    });
    from.onChange((svid) => changes.push(svid));
    await write(renewed);
    await eventually(() => changes.length === 1, 'the one after it is told all the same');
    const problem = 'the svid was renewed, but a user of it failed to take it over: Error: no such key';
    expect(from.problem()).toBe(problem);
    let isBroken = true;
    clock = () => {
      if (isBroken) throw new Error('no clock');
      return NOW_MS;
    };
    await write(planner);
    await eventually(() => problems.includes('the svid could not be read: Error: no clock'), 'the fault is told');
    isBroken = false;
    polls.fire();
    await eventually(() => changes.length === 2, 'the poll comes all the same, and the change is taken');
    expect(polls.delays).toEqual([POLL_MS]);
  });

  it('accepts an intermediate, text between certificates, and a key in SEC1 form', async () => {
    const key = createPrivateKey(planner.keyPem).export({ type: 'sec1', format: 'pem' });
    await write({ certPem: `# leaf\n${planner.certPem}\n# ca\n${acme.bundlePem}`, keyPem: key });
    const svid = (await opened()).current();
    expect(svid?.certificates.length).toBe(2);
    expect(svid?.keyPem).toBe(planner.keyPem);
  });

  it('waits for missing files', async () => {
    const from = await opened();
    expect(from.current()).toBeNull();
    expect(from.problem()).toBe(`cannot read \`${files.certificate}\`: ENOENT`);
    await write(planner);
    await serves(from, planner);
  });

  it('applies overwritten files, and notifies once', async () => {
    await write(planner);
    const from = await opened();
    const changes: Svid[] = [];
    from.onChange((svid) => changes.push(svid));
    await write(renewed);
    await serves(from, renewed);
    await write(renewed);
    await delay(100);
    expect(changes.map(({ certificatePem }) => certificatePem)).toEqual([renewed.certPem]);
  });

  it('applies files that are renamed into place', async () => {
    await write(planner);
    const from = await opened();
    for (const [path, text] of [
      [files.certificate, renewed.certPem],
      [files.key, renewed.keyPem],
    ] as const) {
      await writeFile(`${path}.new`, text, { mode: 0o600 });
      await rename(`${path}.new`, path);
    }
    await serves(from, renewed);
  });

  it('applies files behind a switched symlink, as kubernetes does', async () => {
    const linked = async (name: string, svid: IssuedCertificate): Promise<void> => {
      await mkdir(join(folder, name));
      await writeFile(join(folder, name, 'svid.pem'), svid.certPem);
      await writeFile(join(folder, name, 'svid.key'), svid.keyPem, { mode: 0o640 });
      await writeFile(join(folder, name, 'bundle.pem'), acme.bundlePem);
      await symlink(name, join(folder, '..data_tmp'));
      await rename(join(folder, '..data_tmp'), join(folder, '..data'));
    };
    await linked('..2026_11_24', planner);
    for (const name of ['svid.pem', 'svid.key', 'bundle.pem']) {
      await symlink(join('..data', name), join(folder, name));
    }
    const from = await opened();
    await serves(from, planner);
    await linked('..2026_11_25', renewed);
    await rm(join(folder, '..2026_11_24'), { recursive: true });
    await serves(from, renewed);
    expect(problems).toEqual([]);
  });

  it('finds a change by polling if there are no events', async () => {
    // The folder does not exist when watching begins, so there is no watch.
    const late = join(folder, 'late');
    files = { certificate: join(late, 'svid.pem'), key: join(late, 'svid.key'), bundle: join(late, 'bundle.pem') };
    const from = await opened();
    await mkdir(late);
    await write(planner);
    await delay(50);
    expect(from.current()).toBeNull();
    polls.fire();
    await serves(from, planner);
    await eventually(() => polls.delays.length === 1, 'the next look is due');
  });

  it('keeps the last good svid while key and certificate do not match', async () => {
    await write(planner);
    const from = await opened();
    await writeFile(files.certificate, renewed.certPem);
    await says(from, `\`${files.certificate}\`: the key does not belong to the certificate`);
    expect(from.current()?.certificatePem).toBe(planner.certPem);
    await writeFile(files.key, renewed.keyPem);
    await serves(from, renewed);
  });

  it.each<[string, () => Promise<void>, () => string]>([
    [
      'a certificate half written',
      () => truncate(files.certificate, 300),
      () => `the certificate file \`${files.certificate}\` must contain whole pem certificates only`,
    ],
    [
      'a bundle half written',
      () => writeFile(files.bundle, acme.bundlePem + acme.bundlePem.slice(0, 300)),
      () => `the bundle file \`${files.bundle}\` must contain whole pem certificates only`,
    ],
    [
      'a key half written',
      () => truncate(files.key, 100),
      () => `\`${files.key}\` must be a single private key without a password`,
    ],
    [
      'a key with a password',
      () =>
        writeFile(
          files.key,
          createPrivateKey(renewed.keyPem).export({
            type: 'pkcs8',
            format: 'pem',
            cipher: 'aes-256-cbc',
            passphrase: 'x',
          }),
        ),
      () => `\`${files.key}\` must be a single private key without a password`,
    ],
    [
      'an empty certificate',
      () => truncate(files.certificate, 0),
      () => `\`${files.certificate}\`: the svid has no certificate`,
    ],
    [
      'an empty bundle',
      () => truncate(files.bundle, 0),
      () => `\`${files.certificate}\`: the bundle has no certificate`,
    ],
    ['a missing file', () => unlink(files.bundle), () => `cannot read \`${files.bundle}\`: ENOENT`],
    [
      'a file that is too long',
      () => writeFile(files.bundle, ' '.repeat(1024 * 1024 + 1)),
      () => `\`${files.bundle}\` is longer than 1048576 bytes`,
    ],
    [
      'a key instead of a certificate',
      () => writeFile(files.certificate, renewed.keyPem),
      () => `the certificate file \`${files.certificate}\` must contain whole pem certificates only`,
    ],
    [
      'the certificate of a ca',
      () => writeFile(files.certificate, acme.bundlePem),
      () => `\`${files.certificate}\`: the certificate must not be of a ca`,
    ],
    [
      'a key that every user may read',
      () => chmod(files.key, 0o644),
      () => `every user may access the key \`${files.key}\`: make its mode 0600`,
    ],
    [
      'a key that every user may write',
      () => chmod(files.key, 0o602),
      () => `every user may access the key \`${files.key}\`: make its mode 0600`,
    ],
  ])('keeps the last good svid, and reports the problem: %s', async (_what, spoil, problem) => {
    await write(planner);
    const from = await opened();
    await spoil();
    await says(from, problem());
    expect(from.current()?.certificatePem).toBe(planner.certPem);
    expect(problems).toContain(problem());
  });

  it('keeps the good svid for each that may not replace it, tells each once, and takes over an SVID that becomes valid', async () => {
    await write(planner);
    const from = await opened();
    const changes: Svid[] = [];
    from.onChange((svid) => changes.push(svid));
    const given = { authority: acme, path: '/ns/agents/sa/planner' };
    let last = planner.certPem;
    for (const [cause, { svid }] of await refusedRenewals(NOW_MS, given)) {
      problems.length = 0;
      await write(svid);
      await eventually(() => from.refusal()?.cause === cause, `${cause} is refused, not ${from.refusal()?.cause}`);
      await delay(50);
      expect([from.current()?.certificatePem, changes.length]).toEqual([planner.certPem, 0]);
      expect(problems.filter((problem) => problem === from.problem())).toHaveLength(1);
      last = svid.certPem;
    }
    // Nothing is written any more: the last of them becomes valid.
    nowMs += 3_600_000 - 15_000;
    polls.fire();
    expect(from.current()?.certificatePem).toBe(planner.certPem);
    nowMs += 15_001;
    polls.fire();
    await eventually(() => from.current()?.certificatePem === last, 'it is taken over');
    expect([changes.length, from.refusal(), from.problem()]).toEqual([1, null, null]);
  });

  it('keeps the last good svid if an expired SVID is restored', async () => {
    const ended = await acme.svid('/ns/agents/sa/planner', { notBeforeMs: NOW_MS - 20_000, ttlSeconds: 10 });
    await write(planner);
    const from = await opened();
    await write(ended);
    await says(from, `\`${files.certificate}\`: the certificate expired at 2026-11-24T11:59:50.000Z`);
    expect(from.current()?.certificatePem).toBe(planner.certPem);
  });

  it('serves its svid until the last instant of its validity', async () => {
    await write(planner);
    const from = await opened();
    nowMs = from.current()?.notAfterMs ?? 0;
    expect(from.current()).not.toBeNull();
    nowMs += 1;
    expect(from.current()).toBeNull();
    expect(from.problem()).toMatch(/^the svid ended at 2026-11-24T/);
  });

  it('reads nothing after it is closed, and keeps its svid', async () => {
    await write(planner);
    const from = await opened();
    from.close();
    expect(polls.delays).toEqual([]);
    await write(renewed);
    await delay(50);
    expect(from.current()?.certificatePem).toBe(planner.certPem);
  });
});

import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createConnection, createServer } from 'node:net';
import type { Server } from 'node:net';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { chmodSync, existsSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { segmentsIn } from '../../src/core/ledger/log/segment/segment-files.ts';
import { stateFormat } from '../../src/authority/state/sqlite/schema.ts';
import { mustFind } from '../builders/must.ts';
import { soundSettings, soundSvid } from './sound-settings.ts';
import { freePorts } from '../free-port.ts';
import { describeWith, postgresPart } from '../parts.ts';
import { testFolders } from '../builders/test-folders.ts';
import { startedPlaces } from '../postgres/places.ts';
import { thoroughly } from '../thoroughly.ts';
import { until } from '../until.ts';
import { BundlePublisher } from './bundle-publisher.ts';
import { scratchFolder } from './domain.ts';
import { remit } from './process.ts';
import type { Running } from './process.ts';

// Processes start here, which is slow on a loaded machine.

type Settings = Readonly<Record<string, unknown>>;

const ofDatabase = testFolders();
let scratch: Awaited<ReturnType<typeof scratchFolder>>;
let folder = '';
let admin = 0;
let sound: Settings = {};
let running: Running | null = null;

beforeEach(async () => {
  scratch = await scratchFolder('remit-order-');
  ({ folder } = scratch);
  const ports = await freePorts(2);
  [admin = 0] = ports;
  sound = {
    ...(await soundSettings(folder, { adminPort: admin })),
    svid: await soundSvid(folder, 'issuer.acme.test'),
    issuer: { url: 'https://issuer.acme.test', listen: '127.0.0.1:0' },
  };
});
afterEach(async () => {
  running?.child.kill('SIGKILL');
  await running?.exit;
  running = null;
  await scratch.remove();
});

async function serve(change: Settings = {}, ...words: readonly string[]): Promise<Running> {
  const file = join(folder, 'remit.yaml');
  await writeFile(file, stringify({ ...sound, ...change }));
  running = remit(['serve', '--config', file, ...words], {
    REMIT_TERMINATION_MESSAGE: join(folder, 'termination-log'),
  });
  return running;
}

/** Status and text of the admin server; `null` while it does not answer. */
async function asked(path: string): Promise<string | null> {
  const response = await fetch(`http://127.0.0.1:${admin}${path}`).catch(() => null);
  return response === null ? null : `${response.status} ${(await response.text()).trim()}`;
}
const waitsFor = (what: string): Promise<unknown> =>
  until(async () => (await asked('/readyz'))?.includes(`503 start: waiting: ${what}`) === true, { what });
/** Longer than a loaded PostgreSQL and the first signing key of an authority take. */
const isReady = (): Promise<unknown> =>
  until(async () => (await asked('/readyz')) === '200 ok', { what: 'readiness', withinMs: 240_000 });

// Issue 37, point 6: it ended with 2 after 10 s, and a service manager made it wait for minutes.
describe('a process that starts before what it needs', () => {
  it('waits for its SVID, alive and not ready, and says so', async () => {
    const { certificate = '' } = Object(sound['svid']);
    await rename(certificate, `${certificate}.later`);
    const { child, err } = await serve();
    await waitsFor('this process has no SVID: ');
    expect([await asked('/livez'), await asked('/metrics')]).toEqual(['200 ok', '503 the process is starting']);
    expect(err()).toContain('start-waits waiting: this process has no SVID');
    // Nothing that others could use was begun.
    expect(existsSync(join(folder, 'state.db'))).toBe(false);
    await rename(`${certificate}.later`, certificate);
    await isReady();
    expect(child.exitCode).toBeNull();
  });

  it('ends with 0 at SIGTERM while it waits', async () => {
    await rm(Object(sound['svid']).certificate);
    const { child, exit } = await serve();
    await waitsFor('this process has no SVID');
    child.kill('SIGTERM');
    expect(await exit).toBe(0);
    // In Kubernetes the startup probe ends it so, and `kubectl describe pod` shows this.
    expect(await readFile(join(folder, 'termination-log'), 'utf8')).toContain(
      'stopped while waiting: this process has no SVID',
    );
  });

  it('waits for a bundle of policies', async () => {
    const publisher = await BundlePublisher.create(folder);
    await serve({ policies: { bundle: { from: 'bundle.jws', name: 'prod', keys: 'bundle-keys.json' } } });
    await waitsFor('');
    expect(await asked('/readyz')).toContain('bundle.jws');
    await publisher.publish(1);
    await isReady();
  });
});

describeWith(postgresPart(), 'an authority that starts before its database', (binaries) => {
  let server: Server | null = null;
  const places = startedPlaces(binaries, ofDatabase());
  afterEach(() => {
    server?.close();
  });

  it.each([
    ['that cannot be reached yet', (port: number) => `localhost:${port}`, 'no primary among'],
    ['whose name is not in DNS yet', () => 'database.invalid', 'no primary among `database.invalid'],
  ])('waits for a database %s', async (_which, host, problem) => {
    const url = await places.next();
    const [port = 0, grpc = 0] = await freePorts(2);
    const real = places.postgres.port;
    const { child, exit } = await serve({
      issuer: { url: 'https://issuer.acme.test', listen: '127.0.0.1:0' },
      state: url.replace(`localhost:${real}`, host(port)),
      durability: 'single',
      authority: {
        listen: `127.0.0.1:${grpc}`,
        sidecars: { id: 'spiffe://acme.test/ns/*/sa/tools-*', audiences: 'https://payments.acme.test' },
      },
    });
    await waitsFor(problem);
    expect(await asked('/livez')).toBe('200 ok');
    if (host(port).startsWith('localhost')) {
      server = createServer((socket) => {
        const back = createConnection({ host: '127.0.0.1', port: real });
        for (const [from, to] of [
          [socket, back],
          [back, socket],
        ] as const)
          from
            .on('error', () => to.destroy())
            .on('close', () => to.destroy())
            .pipe(to);
      }).listen(port, '127.0.0.1');
      await isReady();
      expect(child.exitCode).toBeNull();
    } else {
      child.kill('SIGTERM');
      expect(await exit).toBe(0);
    }
  });
});

/** The schema of the state file. */
const version = (): unknown => {
  const db = new DatabaseSync(join(folder, 'state.db'), { readOnly: true });
  const found = db.prepare('PRAGMA user_version').get()?.['user_version'];
  db.close();
  return found;
};

// Issue 37, point 6: it was migrated before the policies were read, and then neither build could start.
describe('a state file of an earlier release', () => {
  beforeEach(async () => {
    const db = new DatabaseSync(join(folder, 'state.db'));
    db.exec(await readFile(resolve(import.meta.dirname, '../core/state/state-schema-9.sql'), 'utf8'));
    db.exec('PRAGMA journal_mode = WAL');
    db.close();
    chmodSync(join(folder, 'state.db'), 0o600);
  });

  it.each<[string, Settings, () => Promise<unknown>, string]>([
    [
      'policies are refused',
      {},
      () =>
        writeFile(
          join(folder, 'policies/policies/new.cedar'),
          '@id("new") permit (principal, action, resource) when { context.nothing };',
        ),
      'policies/policies/new.cedar:1:',
    ],
    [
      'an address is of another machine',
      { issuer: { url: 'https://issuer.acme.test', listen: '192.0.2.1:0' } },
      async () => undefined,
      'cannot listen on `192.0.2.1:0`: EADDRNOTAVAIL',
    ],
    [
      'the ledger key is open to others',
      {},
      async () => {
        await writeFile(join(folder, 'ledger-key.pem'), 'x');
        chmodSync(join(folder, 'ledger-key.pem'), 0o644);
      },
      'has mode 0644, open to others',
    ],
  ])('stays as it is if %s', async (_which, change, breakIt, problem) => {
    await breakIt();
    const { exit, err } = await serve(change);
    expect(await exit).toBe(2);
    expect(err()).toContain(problem);
    expect(err()).toContain('stays at schema version 9: the start would not succeed');
    expect([version(), existsSync(join(folder, 'state.db.schema-9'))]).toEqual([9, false]);
  });

  it('is migrated once the process has what it waits for', async () => {
    const { certificate = '' } = Object(sound['svid']);
    await rename(certificate, `${certificate}.later`);
    await serve();
    await waitsFor('this process has no SVID');
    expect(version()).toBe(9);
    await rename(`${certificate}.later`, certificate);
    await isReady();
    expect(version()).toBe(stateFormat.version);
  });
});

const written =
  (name: string, text: string, mode = 0o600) =>
  async (): Promise<void> => {
    await writeFile(join(folder, name), text);
    chmodSync(join(folder, name), mode);
  };
/** A key that a start has made, whose mode is then changed. */
const opened =
  (...names: readonly string[]) =>
  async (): Promise<void> => {
    const first = await serve();
    await isReady();
    first.child.kill('SIGTERM');
    await first.exit;
    for (const name of names) chmodSync(join(folder, name), 0o644);
  };

type AgreedRow = readonly [string, Settings, () => Promise<unknown>, number, RegExp];

// Issue 37, point 6: `--check` said that it would start, for keys of mode 0644.
const AGREED: readonly AgreedRow[] = [
  ['nothing is wrong', {}, async () => undefined, 0, /^$/],
  ['the ledger key is open to others', {}, opened('ledger-key.pem'), 2, /ledger key `.*` has mode 0644/],
  [
    'the ledger differs from what was signed',
    {},
    async () => {
      await opened()();
      const db = new DatabaseSync(mustFind(segmentsIn(join(folder, 'ledger')).at(-1)).path);
      db.exec('UPDATE log SET head = zeroblob(32)');
      db.close();
    },
    3,
    /the ledger cannot be continued/,
  ],
  ['the state file is no state file', {}, written('state.db', 'no database'), 2, /state file `.*`/],
  [
    'the folder of a socket is missing',
    { extAuthz: { listen: 'unix:/nowhere/check.sock' } },
    async () => undefined,
    2,
    /the folder `\/nowhere` of the socket does not exist/,
  ],
  ['there is no SVID yet', {}, () => rm(Object(sound['svid']).certificate), 0, /no SVID/],
];
/** What once differed, keys that others can read and sockets that cannot be made (757ba954), has its rows above: these are further ones of it. */
const MORE_AGREED: readonly AgreedRow[] = [
  [
    'the folder of signing keys is writable by others',
    {},
    async () => {
      await opened()();
      chmodSync(join(folder, 'signing-keys'), 0o777);
    },
    2,
    /the folder of signing keys `.*` is writable by others/,
  ],
  [
    'an address is of another machine',
    { admin: { listen: '192.0.2.1:0' } },
    async () => undefined,
    2,
    /cannot listen on `192\.0\.2\.1:0`: EADDRNOTAVAIL/,
  ],
  [
    'policies are refused',
    {},
    () => rm(join(folder, 'policies/actions.yaml')),
    2,
    /actions\.yaml:1:1: the file is missing/,
  ],
  [
    'a signing key is open to others',
    { issuer: { url: 'https://issuer.acme.test', listen: '127.0.0.1:0', signingKey: 'key.pem' } },
    written('key.pem', 'x', 0o644),
    2,
    /signing key `.*` has mode 0644/,
  ],
  [
    'the transaction key is no key',
    {
      issuer: {
        url: 'https://issuer.acme.test',
        listen: '127.0.0.1:0',
        transactionKey: 'transactions.pem',
      },
    },
    written('transactions.pem', 'no key'),
    2,
    /signing key `.*` must be a PKCS#8 PEM/,
  ],
  ['a file is at the path of a socket', {}, written('check.sock', 'x'), 2, /exists and is not a socket/],
  [
    'the admin socket cannot be',
    { admin: { listen: '127.0.0.1:0', socket: 'unix:/nowhere/admin.sock' } },
    async () => undefined,
    2,
    /the folder `\/nowhere` of the socket does not exist/,
  ],
  [
    'a group of a socket does not exist',
    { extAuthz: { listen: 'unix:/run/remit-none.sock', socketMode: '0660', socketGroup: 'nobody-has-this' } },
    async () => undefined,
    2,
    /socketGroup/,
  ],
  ['the trust domain is another', { trustDomains: ['other.test'] }, async () => undefined, 2, /add `acme\.test`/],
];

describe('`remit serve --check` and `remit serve`', () => {
  it.each(thoroughly([...AGREED, ...MORE_AGREED], AGREED))(
    'agree if %s',
    async (_which, change, breakIt, code, message) => {
      await breakIt();
      const checked = await (async () => {
        const { exit, err } = await serve(change, '--check');
        return { code: await exit, err: err() };
      })();
      const { child, err, exit } = await serve(change);
      const end = await Promise.race([
        exit,
        until(() => /\bready ready\b|start-waits/.test(err()), { what: 'a start' }).then(() => 0),
      ]);
      child.kill('SIGKILL');
      expect({ check: checked.code, serve: end }).toEqual({ check: code, serve: code });
      if (code === 0 && message.source === '^$') return;
      expect(checked.err).toMatch(message);
      expect(err()).toMatch(message);
    },
  );
});

import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { createAuthority, writeBundle, writeCredential } from '../../src/dev/authority.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { mustFind } from '../builders/must.ts';
import { freePorts } from '../free-port.ts';
import { describeWith, postgresPart } from '../parts.ts';
import { PostgresPlaces } from '../postgres/places.ts';
import { until } from '../until.ts';
import { examples, scratchFolder } from './domain.ts';
import { ran, remit } from './process.ts';
import type { Running } from './process.ts';

// Processes start here, which is slow on a loaded machine.

type Settings = Readonly<Record<string, unknown>>;

/** A folder with what every role needs, and the settings of each. */
async function stage() {
  const { folder, remove } = await scratchFolder('remit-check-roles-');
  // The user of a database reads its folder.
  await chmod(folder, 0o755);
  await cp(examples, join(folder, 'policies'), { recursive: true });
  const acme = await createAuthority('acme.test', systemPorts);
  const bundle = await writeBundle(folder, 'bundle', acme);
  const svidOf = async (name: string, path: string) => ({
    ...(await writeCredential(folder, name, await acme.svid(path, { dns: ['issuer.acme.test'], ips: ['127.0.0.1'] }))),
    bundle,
  });
  const [grpc = 0, admin = 0, nobody = 0] = await freePorts(3);
  const common = (name: string): Settings => ({
    trustDomains: ['acme.test'],
    extAuthz: { listen: `unix:${folder}/check-${name}.sock` },
    policies: 'policies',
    ledger: { folder: `ledger-${name}`, name, key: `ledger-${name}.pem`, checkpoints: `checkpoints-${name}.txt` },
  });
  await mkdir(join(folder, 'run'), { mode: 0o700 });
  const authority: Settings = {
    ...common('authority'),
    admin: { listen: `127.0.0.1:${admin}` },
    svid: await svidOf('authority', '/authority'),
    issuer: { url: 'https://issuer.acme.test', listen: '127.0.0.1:0', signingKey: 'signing-keys' },
    state: 'sqlite:state.db',
    authority: {
      listen: [`127.0.0.1:${grpc}`, `unix:${folder}/run/authority.sock`],
      sidecars: { id: 'spiffe://acme.test/ns/*/sa/tools-*', audiences: 'https://payments.acme.test' },
    },
  };
  const sidecar: Settings = {
    ...common('sidecar'),
    admin: { listen: '127.0.0.1:0' },
    svid: await svidOf('tools-1', '/ns/pay/sa/tools-1'),
    state: `authority://127.0.0.1:${grpc}`,
    authority: { id: 'spiffe://acme.test/authority' },
  };
  const write = async (name: string, settings: Settings): Promise<string> => {
    const file = join(folder, `${name}.yaml`);
    await writeFile(file, stringify(settings), { mode: 0o600 });
    return file;
  };
  /** The results of checks at the same time, which may leave nothing in the folder. */
  const checkAll = async (all: readonly Settings[]) => {
    const files = await Promise.all(all.map((settings, n) => write(`checked-${n}`, settings)));
    const before = await readdir(folder, { recursive: true });
    const results = await Promise.all(
      files.map((file) => ran(['serve', '--config', file, '--check'], { TMPDIR: folder })),
    );
    // What serves beside it writes to its own files only.
    const after = await readdir(folder, { recursive: true });
    expect(after.filter((name) => !/-(?:wal|shm|journal)$/.test(name)).toSorted()).toEqual(
      before.filter((name) => !/-(?:wal|shm|journal)$/.test(name)).toSorted(),
    );
    return results;
  };
  const check = async (settings: Settings) => mustFind((await checkAll([settings]))[0]);
  return { folder, remove, svidOf, grpc, admin, nobody, authority, sidecar, write, check, checkAll };
}

it('says that an authority would start if its group may write the temporary folder, as in a pod (issue 38, point 2)', async () => {
  const at = await stage();
  try {
    const temporary = join(at.folder, 'emptyDir');
    await mkdir(temporary);
    // As the kubelet makes an `emptyDir` of a pod with `fsGroup`.
    await chmod(temporary, 0o2777);
    const file = await at.write('in-a-pod', at.authority);
    const { code, err, out } = await ran(['serve', '--config', file, '--check'], { TMPDIR: temporary });
    expect([code, out, err]).toEqual([
      0,
      `${file}: it would start\n`,
      expect.not.stringContaining('changed by others'),
    ]);
  } finally {
    await at.remove();
  }
});

describe('remit serve --check of a sidecar', () => {
  let at: Awaited<ReturnType<typeof stage>>;
  let serving: Running;
  beforeAll(async () => {
    at = await stage();
    serving = remit(['serve', '--config', await at.write('authority', at.authority)]);
    await serving.said('checks on');
    // Its own files are all there by then.
    await until(() => existsSync(join(at.folder, 'checkpoints-authority.txt')), { what: 'its first checkpoint' });
  });
  afterAll(async () => {
    serving?.child.kill('SIGKILL');
    await serving?.exit;
    await at?.remove();
  });

  it.each([
    ['over TLS', () => at.sidecar],
    ['on a Unix socket', () => ({ ...at.sidecar, ...onSocket(at.folder) })],
  ])('says that a sidecar %s would start', async (_over, settings) => {
    const { code, out, err } = await at.check(settings());
    expect([code, out]).toEqual([0, `${at.folder}/checked-0.yaml: it would start\n`]);
    expect(err).not.toContain('not become ready');
  });

  it('leaves no trace at the authority: no log of its own, and no stream', async () => {
    const { out } = await ran(['ledger', 'query', '--ledger', join(at.folder, 'ledger-authority'), '--json']);
    expect(out).not.toContain('"kind":"emitter"');
    await until(async () => {
      const report = await (await fetch(`http://127.0.0.1:${at.admin}/fleet`)).json();
      return (report as { readonly sidecars: readonly unknown[] }).sidecars.length === 0;
    });
    expect(serving.child.exitCode).toBeNull();
  });

  describe('says why a sidecar would not be ready', () => {
    const unready: readonly (readonly [which: string, settings: () => Promise<Settings>, problem: string])[] = [
      [
        'that cannot be reached',
        async () => ({ ...at.sidecar, state: `authority://127.0.0.1:${at.nobody}` }),
        'the authority `127.0.0.1:\\d+` cannot be followed: UNAVAILABLE',
      ],
      [
        'that does not admit its certificate',
        async () => ({ ...at.sidecar, svid: await at.svidOf('planner', '/ns/agents/sa/planner') }),
        'PERMISSION_DENIED: no rule of `authority\\.sidecars` admits this client',
      ],
      [
        'with another SPIFFE ID',
        async () => ({ ...at.sidecar, authority: { id: 'spiffe://acme.test/other' } }),
        'is `spiffe://acme\\.test/authority`, not `spiffe://acme\\.test/other`',
      ],
      [
        'whose socket is not there',
        async () => ({ ...at.sidecar, ...onSocket(at.folder, 'none.sock') }),
        'the authority `unix:.*none\\.sock` cannot be followed: UNAVAILABLE',
      ],
      [
        'if it has no SVID, since the Workload API is not there',
        async () => ({ ...at.sidecar, svid: { workloadApi: 'unix:///nowhere/agent.sock' } }),
        'svid: there is no Workload API at `/nowhere/agent\\.sock`',
      ],
    ];
    let results: Awaited<ReturnType<typeof at.checkAll>>;
    // Each waits 10 s to become ready: together.
    beforeAll(async () => {
      results = await at.checkAll(await Promise.all(unready.map(([, settings]) => settings())));
    });

    it.each(unready.map(([which, , problem], n) => [which, problem, n] as const))(
      'with an authority %s',
      (_which, problem, n) => {
        const { code, err } = mustFind(results[n]);
        expect(code).toBe(0);
        expect(err).toMatch(new RegExp(`warning: it would start, but not become ready: .*${problem}`));
      },
    );
  });

  it.each([
    ['can be written by others', 0o777, 'open', 'can be changed by others, since it has mode 0777'],
    ['does not exist', null, 'none', 'cannot check who may write'],
  ])('refuses the socket of an authority in a folder that %s', async (_which, mode, name, problem) => {
    const folder = join(at.folder, name);
    if (mode !== null) {
      await mkdir(folder, { recursive: true });
      await chmod(folder, mode);
    }
    const { code, err } = await at.check({ ...at.sidecar, ...onSocket(folder, 'a.sock', '') });
    expect(code).toBe(2);
    expect(err).toContain('`state`: the folder of the socket: ');
    expect(err).toContain(problem);
  });

  describe('and of its authority', () => {
    it('says that it would start, beside the process that serves', async () => {
      const { code, err } = await at.check(at.authority);
      expect([code, err.includes('not become ready')]).toEqual([0, false]);
      expect(serving.child.exitCode).toBeNull();
    });

    it.each<[string, (folder: string) => Settings, string]>([
      [
        'a socket in a folder that others can write',
        (folder) => ({ listen: `unix:${folder}/open/a.sock` }),
        '`authority.listen`: the folder of the socket: ',
      ],
      [
        'a group that there is not',
        () => ({ socketMode: '0660', socketGroup: 'no-such-group' }),
        '`authority.socketGroup`: there is no group `no-such-group` in `/etc/group`',
      ],
      ['a group with the mode 0600', () => ({ socketGroup: 'root' }), '`authority.socketGroup` has no effect'],
    ])('says that it would not start with %s', async (_what, change, problem) => {
      const { code, err } = await at.check({
        ...at.authority,
        authority: { ...(at.authority['authority'] as object), ...change(at.folder) },
      });
      expect(code).toBe(2);
      expect(err).toContain(problem);
    });

    it('says that it would not start if it cannot keep the records of its sidecars', async () => {
      const { code, err } = await at.check({ ...at.authority, records: 'file:authority.yaml/records' });
      expect(code).toBe(2);
      expect(err).toContain('`records`: ');
    });
  });
});

/** Settings of a sidecar on the socket of its authority. */
const onSocket = (folder: string, name = 'authority.sock', within = 'run'): Settings => ({
  svid: undefined,
  authority: undefined,
  state: `authority:unix:${join(folder, within, name)}`,
});

describeWith(postgresPart(), 'remit serve --check of an authority on a PostgreSQL', (binaries) => {
  let at: Awaited<ReturnType<typeof stage>>;
  let places: PostgresPlaces;
  beforeAll(async () => {
    at = await stage();
    await mkdir(join(at.folder, 'pg'));
    places = new PostgresPlaces(binaries, join(at.folder, 'pg'));
    await places.start();
  });
  afterAll(async () => {
    await places?.stop();
    await at?.remove();
  });

  /** Everything in the tables of a database. */
  const contentOf = async (url: string): Promise<unknown> =>
    (await places.sql(url, `SELECT schema_to_xml('remit', true, false, '')::text AS content`))[0]?.['content'];
  /** Runs a check without a look at the files of the database beside it. */
  const check = async (state: string, change: Settings = {}) => {
    const issuer = { url: 'https://issuer.acme.test', listen: '127.0.0.1:0' };
    const file = await at.write('postgres', { ...at.authority, issuer, state, durability: 'single', ...change });
    return ran(['serve', '--config', file, '--check'], { TMPDIR: at.folder });
  };

  it('says that it would start, and changes nothing in the database', async () => {
    const url = await places.next();
    const before = await contentOf(url);
    const { code, out, err } = await check(url);
    expect([code, out]).toEqual([0, `${at.folder}/postgres.yaml: it would start\n`]);
    expect(err).not.toContain('not become ready');
    expect(await contentOf(url)).toEqual(before);
  });

  it.each<[string, (url: string) => string | Promise<string>, Settings, string]>([
    ['that does not exist', (url) => url.replace(/place_\d+/, 'missing'), {}, 'there is no such database'],
    [
      'that cannot be reached',
      (url) => url.replace(/localhost:\d+/, `localhost:${at.nobody}`),
      {},
      'the database cannot be reached',
    ],
    [
      'of an older schema',
      async (url) => {
        await places.sql(url, 'UPDATE remit.version SET version = 1');
        return url;
      },
      {},
      'remit migrate',
    ],
    [
      'without tables',
      async (url) => {
        await places.sql(url, 'DROP SCHEMA remit CASCADE');
        return url;
      },
      {},
      'remit migrate',
    ],
    [
      'without a standby',
      (url) => url,
      { durability: 'quorum' },
      'it would start, but not become ready: database: `synchronous_standby_names` is empty',
    ],
  ])('says that a start would wait, or not be ready, with a database %s', async (_which, prepared, change, problem) => {
    const { code, err } = await check(await prepared(await places.next()), change);
    expect(code).toBe(0);
    expect(err).toContain('warning: it would start, but ');
    expect(err).toContain(problem);
  });

  it('says that it would not start with a database of a later release', async () => {
    const url = await places.next();
    await places.sql(url, 'UPDATE remit.version SET version = 9999');
    const { code, out, err } = await check(url);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain('which a later release made');
  });
});

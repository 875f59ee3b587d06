import { existsSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { Agent } from '../../src/dev/agent.ts';
import { createAuthority, writeBundle, writeCredential } from '../../src/dev/authority.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { scratchFolder, examples } from '../e2e/domain.ts';
import { remit } from '../e2e/process.ts';
import type { Running } from '../e2e/process.ts';
import { freePorts } from '../free-port.ts';
import { describeWith, postgresPart } from '../parts.ts';
import { PostgresPlaces } from '../postgres/places.ts';
import { checkClient } from '../sidecar/envoy/client.ts';
import { until } from '../until.ts';

type Settings = Readonly<Record<string, unknown>>;

/** What a process of some roles offers. */
interface Offers {
  readonly checks: boolean;
  readonly issuer: boolean;
  readonly sidecars: boolean;
}

/** The settings of each composition, in a folder with what every role needs. */
async function stage() {
  const { folder, remove } = await scratchFolder('remit-compositions-');
  // The user of a database reads its folder.
  await chmod(folder, 0o755);
  const acme = await createAuthority('acme.test', systemPorts);
  const bundle = await writeBundle(folder, 'bundle', acme);
  const names = { dns: ['localhost'], ips: ['127.0.0.1'] };
  const svidOf = async (name: string, path: string) => ({
    ...(await writeCredential(folder, name, await acme.svid(path, names))),
    bundle,
  });
  const own = await svidOf('authority', '/authority');
  const tools = await svidOf('tools', '/ns/pay/sa/tools-1');
  const [grpc = 0] = await freePorts(1);
  const agent = new Agent(await acme.svid('/ns/agents/sa/planner'), acme.bundlePem);
  /** Of a process of that name: its sockets, and a folder for all else that it writes. */
  const common = (name: string): Settings => ({
    trustDomains: ['acme.test'],
    extAuthz: { listen: `unix:${folder}/${name}.sock` },
    policies: examples,
    ledger: { folder: `ledger-${name}`, name, key: `ledger-${name}.pem`, checkpoints: `checkpoints-${name}.txt` },
  });
  /** An authority on a PostgreSQL makes a key of its own. */
  const issuerOf = (name: string, port: number, key: Settings = { signingKey: `keys-${name}` }): Settings => ({
    svid: own,
    issuer: { url: `https://localhost:${port}`, listen: `127.0.0.1:${port}`, ...key },
  });
  const authority = {
    listen: `127.0.0.1:${grpc}`,
    sidecars: { id: 'spiffe://acme.test/ns/*/sa/tools-*', audiences: 'https://payments.acme.test' },
  };

  /** Starts a process. It drains until it is told to hurry. */
  const serve = async (name: string, settings: (issuerPort: number) => Settings) => {
    const [admin = 0, issuer = 0] = await freePorts(2);
    const config = join(folder, `${name}.yaml`);
    const all = { ...common(name), ...settings(issuer), admin: { listen: `127.0.0.1:${admin}` } };
    await writeFile(config, stringify(all), { mode: 0o600 });
    const running = remit(['serve', '--config', config], { REMIT_DRAIN_SECONDS: '300' });
    return { name, admin, issuer, running, socket: join(folder, `${name}.sock`) };
  };
  return { folder, remove, agent, tools, grpc, authority, issuerOf, serve };
}
type Stage = Awaited<ReturnType<typeof stage>>;
type Served = Awaited<ReturnType<Stage['serve']>>;

const statusOf = async (port: number, path: string): Promise<number | null> =>
  fetch(`http://127.0.0.1:${port}${path}`).then(
    async ({ status, body }) => (await body?.cancel(), status),
    () => null,
  );

/** Whether each thing answers that such a process may offer. */
async function offersOf(at: Stage, { admin, issuer, socket }: Served): Promise<Offers> {
  const client = checkClient(`unix:${socket}`);
  const checks = await client.check(Buffer.alloc(0)).then(
    (answer) => answer.length > 0,
    () => false,
  );
  client.close();
  const keys = await at.agent.call(issuer, { host: 'localhost', path: '/.well-known/jwks.json' }).catch(() => null);
  return { checks, issuer: keys?.status === 200, sidecars: (await statusOf(admin, '/fleet')) === 200 };
}

/** Waits until it is ready, tries what it offers, and stops it: while it drains it says so, and still answers. */
async function lifeOf(at: Stage, served: Served): Promise<{ readonly serving: Offers; readonly draining: Offers }> {
  const { admin, running, socket } = served;
  await until(
    async () => {
      if (running.child.exitCode !== null) throw new Error(`it has ended: ${running.err()}`);
      return (await statusOf(admin, '/readyz')) === 200;
    },
    { what: 'it is ready' },
  );
  const serving = await offersOf(at, served);
  running.child.kill('SIGTERM');
  await until(async () => (await statusOf(admin, '/readyz')) === 503, { what: 'it drains' });
  const draining = await offersOf(at, served);
  running.child.kill('SIGTERM');
  expect([await running.exit, existsSync(socket), await statusOf(admin, '/livez')]).toEqual([0, false, null]);
  return { serving, draining };
}

/** Issue 40, point 8: each composition of roles starts, serves and drains. */
describe('remit serve', () => {
  let at: Stage;
  const running: Running[] = [];
  beforeAll(async () => {
    at = await stage();
  });
  afterAll(async () => {
    for (const { child, exit } of running) {
      child.kill('SIGKILL');
      await exit;
    }
    at?.agent.close();
    await at?.remove();
  });
  const serve = async (name: string, settings: (issuerPort: number) => Settings): Promise<Served> => {
    const served = await at.serve(name, settings);
    running.push(served.running);
    return served;
  };
  const state = 'sqlite:state.db';

  it.each<[string, string, (issuerPort: number) => Settings, Offers]>([
    [
      'that decides checks alone',
      'checks',
      () => ({ state: 'sqlite:state-1.db' }),
      { checks: true, issuer: false, sidecars: false },
    ],
    [
      'that decides checks and issues tokens',
      'issuer',
      (port) => ({ ...at.issuerOf('issuer', port), state: 'sqlite:state-2.db' }),
      { checks: true, issuer: true, sidecars: false },
    ],
    [
      'that decides checks, issues tokens and has sidecars',
      'all',
      (port) => ({ ...at.issuerOf('all', port), state: 'sqlite:state-3.db', authority: at.authority }),
      { checks: true, issuer: true, sidecars: true },
    ],
  ])('starts, serves and drains a process %s', async (_what, name, settings, offers) => {
    expect(await lifeOf(at, await serve(name, settings))).toEqual({ serving: offers, draining: offers });
  });

  it('starts, serves and drains a sidecar, and then the authority that it follows', async () => {
    const authority = await serve('with', (port) => ({
      ...at.issuerOf('with', port),
      state,
      authority: at.authority,
    }));
    const sidecar = await serve('sidecar', () => ({
      svid: at.tools,
      state: `authority://127.0.0.1:${at.grpc}`,
      authority: { id: 'spiffe://acme.test/authority' },
    }));
    const none = { issuer: false, sidecars: false };
    expect(await lifeOf(at, sidecar)).toMatchObject({ serving: { checks: true, ...none }, draining: { checks: true } });
    const all = { checks: true, issuer: true, sidecars: true };
    expect(await lifeOf(at, authority)).toEqual({ serving: all, draining: all });
  });

  describeWith(postgresPart(), 'with a PostgreSQL', (binaries) => {
    let places: PostgresPlaces;
    beforeAll(async () => {
      await mkdir(join(at.folder, 'pg'));
      places = new PostgresPlaces(binaries, join(at.folder, 'pg'));
      await places.start();
    });
    afterAll(() => places?.stop());

    it('starts, serves and drains an authority, which decides no check', async () => {
      await writeFile(join(at.folder, 'state.key'), Buffer.alloc(32, 7), { mode: 0o600 });
      const database = await places.next();
      const authority = await serve('postgres', (port) => ({
        ...at.issuerOf('postgres', port, {}),
        state: database,
        durability: 'single',
        authority: { ...at.authority, stateKey: 'state.key' },
      }));
      const offers = { checks: false, issuer: true, sidecars: true };
      expect(await lifeOf(at, authority)).toEqual({ serving: offers, draining: offers });
    });
  });
});

import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { postgresTargetFrom } from '../../src/core/config/postgres-url.ts';
import { createAuthority } from '../../src/dev/authority.ts';
import { systemPorts } from '../../src/core/runtime/ports.ts';
import { mustConfig } from '../builders/config.ts';
import { scratchFolder } from '../e2e/domain.ts';
import { ran, remit } from '../e2e/process.ts';
import { freePorts } from '../free-port.ts';
import { entryOf, WorkloadApiServer } from '../core/identity/workload-api-server.ts';
import { describeWith, helmPart } from '../parts.ts';
import { caseFile, cases, chartFolder, mustTemplate, objectsOf } from './chart.ts';

// Processes start here, which is slow on a loaded machine.

/** The `remit.yaml` of each ConfigMap that has one, by the name of the ConfigMap. */
async function configsOf(helm: string, name: string): Promise<ReadonlyMap<string, string>> {
  const objects = objectsOf(await mustTemplate(helm, ['--values', caseFile(name)]));
  return new Map(
    objects.flatMap(({ kind, metadata, data }) =>
      kind === 'ConfigMap' && data?.['remit.yaml'] !== undefined ? [[metadata.name, data['remit.yaml']]] : [],
    ),
  );
}

/** Where a pod would find what its configuration names, in a folder of this test. */
async function stage(trustDomain: string) {
  const { folder, remove } = await scratchFolder('remit-chart-');
  await cp(join(chartFolder, 'files/policies'), join(folder, 'policies'), { recursive: true });
  await mkdir(join(folder, 'state'), { mode: 0o700 });
  const acme = await createAuthority(trustDomain, systemPorts);
  const apis: WorkloadApiServer[] = [];
  const [admin = 0, issuer = 0, grpc = 0] = await freePorts(3);
  const moved = (yaml: string, run: string): string =>
    yaml
      // Before the others, since this folder may be in /tmp itself.
      .replaceAll('unix:/tmp/', `unix:${run}/`)
      .replaceAll('/etc/remit/policies', join(folder, 'policies'))
      .replaceAll('/var/lib/remit', join(folder, 'state'))
      .replaceAll('/run/remit', run)
      .replace('0.0.0.0:9471', `127.0.0.1:${admin}`)
      .replace('0.0.0.0:9472', `127.0.0.1:${issuer}`)
      .replace('0.0.0.0:9474', `127.0.0.1:${grpc}`)
      .replace(/authority:\/\/\S+/, `authority://127.0.0.1:${grpc}`);
  /** Writes a configuration and gives the arguments and variables of a process that has it, and the SVID of a path. */
  const placed = async (name: string, yaml: string, path: string) => {
    const file = join(folder, `${name}.yaml`);
    // Of the authority, which names no socket, it is the default in /run/remit.
    const byDefault = yaml.includes('extAuthz:') ? '' : `extAuthz: { listen: 'unix:/run/remit/check.sock' }\n`;
    // Each pod has a volume of its own for sockets.
    const run = join(folder, `run-${name}`);
    await mkdir(run, { mode: 0o700 });
    await writeFile(file, moved(`${yaml}${byDefault}`, run), { mode: 0o600 });
    const socket = join(folder, `${name}.sock`);
    const { server } = await WorkloadApiServer.start(`unix:${socket}`);
    apis.push(server);
    const dns = ['remit-authority.remit.svc'];
    server.greeting = { svids: [entryOf(await acme.svid(path, { dns }), acme.bundlePem)] };
    const variables = {
      SPIFFE_ENDPOINT_SOCKET: `unix://${socket}`,
      REMIT_LEDGER_NAME: `${name}-0`,
      ...(name === 'authority' ? {} : { REMIT_LEDGER_FOLDER: join(folder, `ledger-${name}`) }),
    };
    return { args: ['serve', '--config', file], variables };
  };
  const close = async (): Promise<void> => {
    for (const api of apis) api.close();
    await remove();
  };
  return { folder, placed, close };
}

describeWith(helmPart(), 'the configuration that the chart renders', ([helm]) => {
  it.each(cases)('is valid with the values `%s`', async (name) => {
    const configs = await configsOf(helm, name);
    const environment = { SPIFFE_ENDPOINT_SOCKET: 'unix:///spiffe-workload-api/spire-agent.sock' };
    const kinds = [...configs.values()].map(
      (yaml) => mustConfig(yaml, { folder: '/etc/remit', environment }).state.kind,
    );
    const own = name.startsWith('postgres') || name === 'autoscaled' ? 'postgres' : 'sqlite';
    // That of the authority, and the same once more for the Job that checks it.
    expect(kinds.filter((kind) => kind !== 'authority')).toEqual([own, own]);
  });

  it('has the database of the migration, as the owner of the tables', async () => {
    const objects = objectsOf(await mustTemplate(helm, ['--values', caseFile('postgres')]));
    const job = JSON.stringify(
      objects.find(({ kind, metadata }) => kind === 'Job' && metadata.name === 'remit-migration')?.spec,
    );
    const [, state = ''] = /"args":\["migrate","--state","([^"]+)","--grant","remit_authority"\]/.exec(job) ?? [];
    expect(postgresTargetFrom(state)).toMatchObject({
      hosts: [
        { host: 'db-1.acme.test', port: 5432 },
        { host: 'db-2.acme.test', port: 6432 },
      ],
      user: 'remit_owner',
      tls: 'verify-full',
      passwordFile: '/etc/remit-database/password',
      rootCertFile: '/etc/remit-database-ca/ca.crt',
    });
  });

  const followers = [
    ['sidecars', 'acme.test', 'remit-sidecar', '/ns/tools/sa/tool-server'],
    ['node', 'example.org', 'remit-node', '/ns/remit/sa/remit-node'],
    ['node-by-network', 'example.org', 'remit-node', '/ns/remit/sa/remit-node'],
  ] as const;
  /** A Remit with the identity of another workload, by the name of the values. Each gives up after 10 s, beside the tests that follow. */
  const strangers = new Map<string, ReturnType<typeof ran>>();
  const ends: (() => Promise<unknown>)[] = [];
  afterAll(async () => {
    await Promise.allSettled(strangers.values());
    for (const end of ends.toReversed()) await end();
  });

  describe.each(followers)('with the values `%s`', (name, trustDomain, follower, path) => {
    let at: Awaited<ReturnType<typeof stage>>;
    let authority: Awaited<ReturnType<typeof at.placed>>;
    let configs: Awaited<ReturnType<typeof configsOf>>;
    beforeAll(async () => {
      configs = await configsOf(helm, name);
      at = await stage(trustDomain);
      ends.push(at.close);
      authority = await at.placed('authority', configs.get('remit-authority') ?? '', '/ns/remit/sa/remit-authority');
    });

    it('starts an authority', async () => {
      const { code, out, err } = await ran([...authority.args, '--check'], authority.variables);
      expect([code, out]).toEqual([0, expect.stringContaining('it would start')]);
      expect(err).not.toContain('not become ready');
    });

    it('starts a Remit that the authority serves', async () => {
      const serving = remit(authority.args, authority.variables);
      ends.push(async () => {
        serving.child.kill('SIGKILL');
        await serving.exit;
      });
      await serving.said('checks on');
      const { args, variables } = await at.placed('follower', configs.get(follower) ?? '', path);
      const { code, out, err } = await ran([...args, '--check'], variables);
      expect([code, out, err]).toEqual([0, expect.stringContaining('it would start'), expect.any(String)]);
      expect(err).not.toContain('not become ready');
      const stranger = await at.placed('stranger', configs.get(follower) ?? '', '/ns/other/sa/web');
      strangers.set(name, ran([...stranger.args, '--check'], stranger.variables));
    });
  });

  it.each(followers.map(([name]) => name))(
    'with the values `%s` starts none with the identity of another workload',
    async (name) => {
      const { code, err } = (await strangers.get(name)) ?? { code: 'not started', err: '' };
      expect(`${code} ${err}`).toMatch(/PERMISSION_DENIED|not become ready: lease/);
    },
  );
});

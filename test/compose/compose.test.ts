import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { DevProcess } from '../../src/dev/child.ts';
import { scratchFolder } from '../e2e/domain.ts';
import { entryPointOf } from '../entry-point.ts';
import { freePort } from '../free-port.ts';
import { both, composeGoPart, describeWith, envoyPart, spirePart } from '../parts.ts';
import { until } from '../until.ts';
import { composeProject, startOrder } from './compose-project.ts';
import type { Service } from './compose-project.ts';

const root = resolve(import.meta.dirname, '../..');
const folder = join(root, 'deploy/compose');
const file = join(folder, 'compose.yaml');
const run = promisify(execFile);

const ofSpire = (service: Service): boolean => service.image.startsWith('remit-demo-spire:');

describeWith(composeGoPart(), 'the compose file', (compose) => {
  const { services } = composeProject(compose, file);

  it('is valid, and each service comes after those it needs', () => {
    expect(startOrder(services)).toEqual([
      'spire',
      'tools',
      'init',
      'register',
      'remit',
      'envoy',
      'agent',
      'helper',
      'service',
    ]);
  });

  // Issue 44, point 1.
  it('gives the folder of the helper to its service alone, which cannot replace its socket', () => {
    const mounted = Object.entries(services).flatMap(([name, { volumes = [] }]) =>
      volumes.flatMap(({ read_only: isReadOnly = false, source, target }) =>
        source === 'tasks' || target.startsWith('/run/remit-agent') ? [[name, source, target, isReadOnly]] : [],
      ),
    );
    expect(mounted).toEqual([
      ['helper', 'tasks', '/run/remit-agent', false],
      ['service', 'tasks', '/run/remit-agent', true],
    ]);
  });

  it('names files that are there', () => {
    const sources = Object.values(services).flatMap(({ volumes = [] }) =>
      volumes.filter(({ type }) => type === 'bind').map(({ source }) => source),
    );
    const dockerfiles = Object.values(services).flatMap(({ build }) =>
      build === undefined ? [] : [join(build.context, build.dockerfile ?? 'Dockerfile')],
    );
    expect([...sources, ...dockerfiles].filter((path) => !existsSync(path))).toEqual([]);
  });

  it('calls programs that the image has', async () => {
    const image = await readFile(join(root, 'deploy/image/Dockerfile'), 'utf8');
    expect(image).toContain(' /usr/bin/node\n');
    expect(image).toContain('/empty /var/lib/remit\n');
  });

  it('has the versions that are tested, and that of this release', async () => {
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
    const [spire = '', envoy = ''] = [spirePart(), envoyPart()].map(({ name }) => name.split(' ').at(-1));
    const images = new Set(Object.values(services).map(({ image }) => image));
    expect([...images].toSorted()).toEqual([
      `docker.io/envoyproxy/envoy:distroless-v${envoy}`,
      `ghcr.io/remit-dev/remit:${version}`,
      `remit-demo-spire:${spire}`,
    ]);
    expect(await readFile(join(folder, 'spire/Dockerfile'), 'utf8')).toContain(`ARG SPIRE_VERSION=${spire}\n`);
  });

  it('gives no part more than it needs', () => {
    for (const [name, service] of Object.entries(services)) {
      if (ofSpire(service)) expect([name, service.network_mode]).toEqual([name, 'none']);
      else
        expect({ name, ...service }).toMatchObject({
          name,
          user: '65532:65532',
          read_only: true,
          cap_drop: ['ALL'],
          security_opt: ['no-new-privileges:true'],
        });
    }
  });
});

describeWith(
  both(composeGoPart(), both(spirePart(), envoyPart())),
  'the services of the compose file as processes of this machine',
  ([compose, [spire, envoy]]) => {
    let scratch: Awaited<ReturnType<typeof scratchFolder>>;
    const started = new Map<string, DevProcess>();
    beforeAll(async () => {
      scratch = await scratchFolder('rc-');
    });
    afterAll(async () => {
      for (const child of [...started.values()].toReversed()) await child.end();
      await scratch?.remove();
    });

    it('lead to a call that is allowed and one that is denied, and to a task for each request of a service', async () => {
      const { services } = composeProject(compose, file);
      const places = await placesIn(scratch.folder);
      const here = (text: string): string => [...places].reduce((done, [from, to]) => done.replaceAll(from, to), text);
      const script = join(scratch.folder, 'spire.sh');
      await writeFile(script, here(await readFile(join(folder, 'spire/spire.sh'), 'utf8')));
      const path = [dirname(spire.server), dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter);
      const entrypoints = new Map([
        ['ghcr.io', (await entryPointOf(root)).command],
        // Beside other Envoys of this machine.
        ['docker.io', [envoy, '--use-dynamic-base-id']],
        ['remit-demo-spire', ['sh', script]],
      ]);
      const wordsOf = ({ image, entrypoint, command, environment = {} }: Service, words?: readonly string[]) => {
        const [, ofImage = []] = [...entrypoints].find(([name]) => image.startsWith(name)) ?? [];
        const own = words ?? [...(entrypoint ?? ofImage), ...(command ?? [])];
        const variables = Object.entries({ ...environment, PATH: path, REMIT_DRAIN_SECONDS: '0' });
        return ['-i', ...variables.map(([name, value]) => `${name}=${here(value)}`), ...own.map(here)];
      };

      const isAwaited = (name: string, condition: string): boolean =>
        Object.values(services).some(({ depends_on = {} }) => depends_on[name]?.condition === condition);
      let said = '';
      for (const name of startOrder(services)) {
        const service = services[name];
        if (service === undefined) throw new Error(`no service \`${name}\``);
        if (name === 'agent' || name === 'service') said += await outputOf(wordsOf(service));
        else if (isAwaited(name, 'service_completed_successfully')) await run('env', wordsOf(service));
        else {
          const child = new DevProcess('env', wordsOf(service));
          started.set(name, child);
          const test = service.healthcheck?.test?.slice(1);
          if (test === undefined) continue;
          await until(
            async () => {
              if (child.ended) throw new Error(`${name} ended: ${[...child.stdout, ...child.stderr].join('\n')}`);
              return run('env', wordsOf(service, test)).then(
                () => true,
                () => false,
              );
            },
            { what: `${name} is healthy` },
          );
        }
      }
      const ofEnvoy = started.get('envoy')?.ended === true ? started.get('envoy')?.stderr.join('\n') : '';
      expect(`${said}${ofEnvoy}`).toContain('GET /: 200 {"method":"GET","path":"/"}\n');
      expect(said).toMatch(/^POST \/items: 403 .*"reason":"action\.outside-intent"/m);
      for (const user of ['alice', 'bob'])
        expect(said).toMatch(new RegExp(`^${user}: 200 .*"answer":\\{"method":"GET","path":"/"\\}`, 'm'));
      expect(said).toContain('tasks: 2\n');
    });
  },
);

/** What a process prints, whatever its exit code. */
const outputOf = (words: readonly string[]): Promise<string> =>
  run('env', words).then(
    ({ stdout }) => stdout,
    ({ stdout, stderr }: { readonly stdout: string; readonly stderr: string }) => `${stdout}${stderr}`,
  );

/** What stands for the places, ports and the user of the containers, longer names first. */
async function placesIn(scratch: string): Promise<ReadonlyMap<string, string>> {
  const [shared, sockets, helper] = [join(scratch, 'r'), join(scratch, 's'), join(scratch, 'h')];
  for (const folder of [shared, sockets, helper]) await mkdir(folder);
  const ports = await Promise.all(
    ['8080', '8081', '8443', '9471', '9472'].map(async (port) => [port, await freePort()]),
  );
  return new Map([
    ['/var/lib/remit', shared],
    ['/run/spire', sockets],
    ['/run/remit-agent', helper],
    ['/usr/bin/node', process.execPath],
    ['/usr/bin/remit', join(root, 'dist/main.js')],
    ['/usr/lib/remit/', `${root}/`],
    ['/demo/', `${join(folder, 'demo')}/`],
    ['65532', String(process.getuid?.() ?? 0)],
    ...ports.map(([port, free]) => [String(port), String(free)] as const),
  ]);
}

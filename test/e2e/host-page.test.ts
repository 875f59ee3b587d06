import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { DevProcess } from '../../src/dev/child.ts';
import { freePort } from '../free-port.ts';
import { pageCommands } from '../pages/page-commands.ts';
import { both, describeWith, envoyPart, spirePart } from '../parts.ts';
import { Spire } from '../spire/spire.ts';
import { until } from '../until.ts';
import { scratchFolder } from './domain.ts';

// A package is installed here, and four programs start.
jest.setTimeout(300_000);

const root = resolve(import.meta.dirname, '../..');
const run = promisify(execFile);

/** What a command in the background says once it is ready. */
const READY: readonly (readonly [command: string, said: RegExp])[] = [
  ['python3', /Serving HTTP/],
  ['remit serve', /\bready\b/],
  ['envoy', /starting workers/],
];

describeWith(both(spirePart(), envoyPart()), 'the page of installing on a host', ([spireBinaries, envoy]) => {
  let spire: Spire;
  let scratch: Awaited<ReturnType<typeof scratchFolder>>;
  const started: DevProcess[] = [];

  beforeAll(async () => {
    scratch = await scratchFolder('rh-');
    spire = await Spire.start(spireBinaries);
  });
  afterAll(async () => {
    for (const process of started.reverse()) await process.end();
    await spire?.stop();
    await scratch?.remove();
  });

  it('leads from nothing to the first allowed call in eight commands', async () => {
    const { folder } = scratch;
    const bin = join(folder, 'bin');
    const prefix = join(folder, 'prefix');
    await mkdir(bin);
    // SPIRE and Envoy are on the path of the host; here SPIRE has its socket elsewhere, and other Envoys run.
    const server = `exec '${spireBinaries.server}' "$@" -socketPath '${spire.controlSocket}'`;
    await writeFile(join(bin, 'spire-server'), `#!/bin/sh\n${server}\n`, { mode: 0o755 });
    await writeFile(join(bin, 'envoy'), `#!/bin/sh\nexec '${envoy}' --use-dynamic-base-id "$@"\n`, { mode: 0o755 });
    await run('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], { cwd: root });
    const [upstream, listener, issuer] = [await freePort(), await freePort(), await freePort()];
    const environment: Readonly<Record<string, string>> = {
      PATH: [bin, join(prefix, 'bin'), dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter),
      HOME: process.env['HOME'] ?? folder,
      npm_config_prefix: prefix,
      npm_config_prefer_offline: 'true',
      SPIFFE_ENDPOINT_SOCKET: `unix://${spire.workloadSocket}`,
      REMIT_ADMIN_LISTEN: '127.0.0.1:0',
      REMIT_DRAIN_SECONDS: '0',
      PYTHONUNBUFFERED: '1',
    };
    // On free ports instead of those of the page.
    const here = (command: string): string =>
      command
        .replaceAll('8080', String(upstream))
        .replace(/^(remit init .*)$/, `$1 --listen 127.0.0.1:${listener} --issuer https://localhost:${issuer}`);

    const commands = pageCommands('deploy/guide/install/host.md', 'The commands');
    const printed: string[] = [];
    for (const command of commands) {
      if (!command.endsWith(' &')) {
        const { stdout } = await run('sh', ['-c', here(command)], { cwd: folder, env: environment });
        printed.push(stdout);
        continue;
      }
      const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
      const words = ['-C', folder, '-i', ...variables, 'sh', '-c', `exec ${here(command.slice(0, -2))}`];
      const child = new DevProcess('env', words);
      started.push(child);
      const [, said] = READY.find(([name]) => command.startsWith(name)) ?? [];
      await until(
        () => {
          const lines = [...child.stdout, ...child.stderr];
          if (child.ended) throw new Error(`\`${command}\` ended: ${lines.join('\n')}`);
          return said !== undefined && lines.some((line) => said.test(line)) ? true : undefined;
        },
        { withinMs: 120_000 },
      );
    }
    expect(commands).toHaveLength(8);
    expect(printed.at(-2)).toContain('actions.yaml');
    expect(printed.at(-1)).toMatch(/completed/);
  });
});

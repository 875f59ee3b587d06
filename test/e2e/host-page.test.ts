import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { delimiter, dirname, join, resolve } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { DevProcess } from '../../src/dev/child.ts';
import { freePort } from '../free-port.ts';
import { pageCommands } from '../pages/page-commands.ts';
import { both, describeWith, envoyPart, spirePart } from '../parts.ts';
import { Spire } from '../spire/spire.ts';
import { until } from '../until.ts';
import { scratchFolder } from './domain.ts';

// A package is installed here, and four programs start.

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
  let environment: Readonly<Record<string, string>>;
  let ports: { readonly upstream: number; readonly listener: number; readonly issuer: number };
  const started: DevProcess[] = [];

  beforeAll(async () => {
    scratch = await scratchFolder('rh-');
    spire = await Spire.start(spireBinaries);
    ports = { upstream: await freePort(), listener: await freePort(), issuer: await freePort() };
    const { folder } = scratch;
    const bin = join(folder, 'bin');
    const prefix = join(folder, 'prefix');
    await mkdir(bin);
    // SPIRE and Envoy are on the path of the host; here SPIRE has its socket elsewhere, and other Envoys run.
    const server = `exec '${spireBinaries.server}' "$@" -socketPath '${spire.controlSocket}'`;
    await writeFile(join(bin, 'spire-server'), `#!/bin/sh\n${server}\n`, { mode: 0o755 });
    await writeFile(join(bin, 'envoy'), `#!/bin/sh\nexec '${envoy}' --use-dynamic-base-id "$@"\n`, { mode: 0o755 });
    await run('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], { cwd: root });
    environment = {
      PATH: [bin, join(prefix, 'bin'), dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter),
      HOME: process.env['HOME'] ?? folder,
      npm_config_prefix: prefix,
      npm_config_prefer_offline: 'true',
      // Where the registry is behind a proxy with a CA of its own.
      NODE_EXTRA_CA_CERTS: process.env['NODE_EXTRA_CA_CERTS'] ?? '',
      SPIFFE_ENDPOINT_SOCKET: `unix://${spire.workloadSocket}`,
      REMIT_ADMIN_LISTEN: `127.0.0.1:${await freePort()}`,
      REMIT_DRAIN_SECONDS: '0',
      PYTHONUNBUFFERED: '1',
    };
  });
  afterAll(async () => {
    for (const child of started.toReversed()) await child.end();
    await spire?.stop();
    await scratch?.remove();
  });

  /** A command of the page with free ports instead of those of the page. */
  const here = (command: string): string =>
    command
      .replaceAll('8080', String(ports.upstream))
      .replace(
        /^(remit init .*)$/,
        `$1 --listen 127.0.0.1:${ports.listener} --issuer https://localhost:${ports.issuer}`,
      );

  /** What a command prints. Rejects where its exit code is not 0. */
  const typed = async (command: string): Promise<string> => {
    const { stdout } = await run('sh', ['-c', here(command)], { cwd: scratch.folder, env: { ...environment } });
    return stdout;
  };

  /** Starts a command and waits until it says that it is ready. */
  const inBackground = async (command: string): Promise<DevProcess> => {
    const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    const words = ['-C', scratch.folder, '-i', ...variables, 'sh', '-c', `exec ${here(command)}`];
    const child = new DevProcess('env', words);
    started.push(child);
    const [, said] = READY.find(([name]) => command.startsWith(name)) ?? [];
    await until(
      () => {
        const lines = [...child.stdout, ...child.stderr];
        if (child.ended) throw new Error(`\`${command}\` ended: ${lines.join('\n')}`);
        return said !== undefined && lines.some((line) => said.test(line)) ? true : undefined;
      },
      { withinMs: 120_000, what: `\`${command}\` is ready` },
    );
    return child;
  };

  /** Whether Remit would start, once the SPIRE agent has its SVID. */
  const passesCheck = (): Promise<boolean> =>
    typed('remit serve --check --config remit-host/remit.yaml').then(
      (said) => said.includes('it would start'),
      () => false,
    );

  it('leads from nothing to the first allowed call in eight commands, and a call without a token is denied', async () => {
    const commands = pageCommands('deploy/guide/install/host.md', 'The commands');
    const printed: string[] = [];
    for (const command of commands) {
      if (command.startsWith('remit serve')) await until(passesCheck, { what: '`remit serve --check` passes' });
      if (command.endsWith(' &')) await inBackground(command.slice(0, -2));
      else printed.push(await typed(command));
    }
    expect(commands).toHaveLength(8);
    expect(printed.at(-2)).toContain('actions.yaml');
    expect(printed.at(-1)).toMatch(/completed/);
    const bare = "sed 's/--header @- //; s/--fail-with-body //' first-call.sh > bare.sh && sh bare.sh";
    expect(await typed(`cd remit-host && ${bare}`)).toContain('"reason":"token.missing"');
  });

  // With `--tool`, which the page names for tool servers on other machines.
  it('reaches a tool server by mutual TLS, and no other that has an SVID', async () => {
    const svid = await spire.fetchX509(await spire.register('/crm'));
    const callers: (string | undefined)[] = [];
    const server = createServer(
      { cert: svid.certPem, key: svid.keyPem, ca: svid.bundlePem, requestCert: true },
      (request, response) => {
        callers.push((request.socket as TLSSocket).getPeerCertificate().subjectaltname);
        response.end('the customers');
      },
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const upstream = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const answerWith = async (tool: string): Promise<string> => {
      await started.pop()?.end();
      const names = `--trust-domain acme.test --upstream ${upstream} --tool spiffe://acme.test/${tool}`;
      await typed(`remit init remit-host ${names} --yes --force`);
      await inBackground('envoy -c remit-host/envoy.yaml');
      const all = "sed 's/--fail-with-body //; s/--retry 5 //' first-call.sh > all.sh && sh all.sh";
      return typed(`cd remit-host && ${all}`);
    };
    try {
      expect(await answerWith('another')).toContain('"reason":"envoy.no-upstream"');
      expect(callers).toEqual([]);
      expect(await answerWith('crm')).toBe('the customers');
      expect(callers).toEqual([expect.stringContaining('URI:spiffe://acme.test/envoy')]);
    } finally {
      server.close();
    }
  });
});

import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { DevProcess } from '../../src/dev/child.ts';
import { ENVOY_VERSION } from '../../src/dev/envoy-binary.ts';
import { freePort } from '../free-port.ts';
import type { HostDomain } from './host-domain.ts';

const shipped = resolve(import.meta.dirname, '../../deploy/hosts/envoy-gateway');
const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** The files of `deploy/hosts/envoy-gateway/` that are resources. */
export type ResourceFile = 'gateway' | 'security' | 'remit' | 'remit-tcp' | 'proxy' | 'patch';

/**
 * A real Envoy Gateway from the shipped files, with a real Envoy, in front of a host domain. Only addresses and folders are changed, and the deadline
 * of checks, so that a loaded machine changes no answer. Lifecycle: `start`; it ends with the domain.
 */
export class EnvoyGateway {
  /** Port of the gateway. */
  readonly port: number;
  readonly #domain: HostDomain;
  /** The folder of its resources. */
  readonly resources: string;
  readonly #process: DevProcess;

  private constructor(domain: HostDomain, port: number, process: DevProcess) {
    this.#domain = domain;
    this.port = port;
    this.#process = process;
    this.resources = join(domain.folder, 'eg/resources');
  }

  /** Starts it without resources but those given. */
  static async start(
    domain: HostDomain,
    binaries: { readonly gateway: string; readonly envoy: string },
    files: readonly ResourceFile[],
  ): Promise<EnvoyGateway> {
    const folder = join(domain.folder, 'eg');
    const installed = join(folder, 'data/envoy-versions', ENVOY_VERSION, 'bin');
    await mkdir(installed, { recursive: true });
    await mkdir(join(folder, 'resources'));
    // Where it looks for an Envoy before it would download one.
    await symlink(binaries.envoy, join(installed, 'envoy'));
    await promisify(execFile)(binaries.gateway, ['certgen', '--local', '--config-home', join(folder, 'config')]);
    const config = (await readFile(join(shipped, 'standalone.yaml'), 'utf8'))
      .replace('/etc/envoy-gateway/resources', join(folder, 'resources'))
      .replaceAll('/var/lib/envoy-gateway', folder)
      .replace('/run/envoy-gateway', join(folder, 'run'));
    await writeFile(join(folder, 'standalone.yaml'), config);
    const port = await freePort();
    const args = ['server', '--config-path', join(folder, 'standalone.yaml')];
    const running: DevProcess[] = [];
    domain.onStop(async () => {
      for (const process of running) await process.end();
    });
    const gateway = new EnvoyGateway(domain, port, new DevProcess(binaries.gateway, args));
    running.push(gateway.#process);
    for (const file of files) await gateway.apply(file);
    return gateway;
  }

  /** Writes a shipped file, or a change of it, in one step: Envoy Gateway watches the folder. */
  async apply(file: ResourceFile, change: (text: string) => string = (text) => text): Promise<void> {
    const text = change(await readFile(join(shipped, `${file}.yaml`), 'utf8'))
      .replaceAll('port: 8443', `port: ${this.port}`)
      .replaceAll('port: 8081', `port: ${this.#domain.payments.address.port}`)
      .replaceAll('port: 9470', `port: ${this.#domain.checkPort}`)
      .replaceAll('/run/remit/check.sock', this.#domain.checkSocket)
      .replaceAll(
        base64('unix:///spiffe-workload-api/spire-agent.sock'),
        base64(`unix://${this.#domain.spire.workloadSocket}`),
      )
      .replaceAll('timeout: 500ms', 'timeout: 10s');
    // `remit` and `remit-tcp` are one object.
    const name = file === 'remit-tcp' ? 'remit' : file;
    const next = join(this.#domain.folder, `eg/${name}.next`);
    await writeFile(next, text);
    await rename(next, join(this.resources, `${name}.yaml`));
  }

  /** Deletes a file, and with it its objects. */
  async remove(file: ResourceFile): Promise<void> {
    const path = join(this.resources, `${file}.yaml`);
    if (existsSync(path)) await rename(path, join(this.#domain.folder, `eg/${file}.removed`));
  }

  /** `host:port` of the admin interface of its Envoy, which starts again at some changes. */
  async admin(): Promise<string> {
    const folder = join(this.#domain.folder, 'eg/run');
    const runs = (await readdir(folder)).sort();
    return (await readFile(join(folder, runs.at(-1) ?? '', 'admin-address.txt'), 'utf8')).trim();
  }

  /** The last lines that it and its Envoy wrote. */
  log(): readonly string[] {
    return [...this.#process.stdout, ...this.#process.stderr];
  }
}

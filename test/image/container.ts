import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageConfig } from './unpacked.ts';

/** A folder of the host in the container. */
export interface Volume {
  readonly from: string;
  readonly to: string;
  readonly isReadOnly?: boolean;
}

/** How a container is run. */
export interface ContainerOptions {
  /** The unpacked image. */
  readonly root: string;
  readonly image: ImageConfig;
  /** What replaces the image's `Cmd`. */
  readonly args?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes: readonly Volume[];
  /** Whether it has a loopback of its own, and nothing else. Default: the network of the host. */
  readonly isAlone?: boolean;
}

/**
 * A container of an unpacked image by `crun`, as an engine with `--read-only` would run it: the user, words and variables of the image, no
 * capability, a root that cannot be written, and a `/tmp` in memory.
 *
 * Lifecycle: the constructor starts it; `stop` ends it and waits.
 */
export class Container {
  readonly child: ChildProcess;
  readonly exit: Promise<number | string>;
  readonly #state: string;
  readonly #name: string;
  #said = '';

  /** @param folder an empty one for the bundle */
  constructor(folder: string, { args, environment = {}, image, isAlone = false, root, volumes }: ContainerOptions) {
    this.#state = join(folder, 'crun');
    this.#name = `remit-test-${process.pid}-${folder.replaceAll(/[^A-Za-z0-9]/g, '-').slice(-40)}`;
    const [uid = NaN, gid = NaN] = image.config.User.split(':').map(Number);
    const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    const specification = {
      ociVersion: '1.0.2',
      process: {
        user: { uid, gid },
        args: [...image.config.Entrypoint, ...(args ?? image.config.Cmd)],
        env: [...image.config.Env, ...variables],
        cwd: image.config.WorkingDir,
        capabilities: {},
        noNewPrivileges: true,
      },
      root: { path: root, readonly: true },
      mounts: [
        { destination: '/proc', type: 'proc', source: 'proc' },
        { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755', 'size=1m'] },
        { destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', 'mode=1777', 'size=16m'] },
        ...volumes.map(({ from, to, isReadOnly = false }) => ({
          destination: to,
          type: 'bind',
          source: from,
          options: ['rbind', isReadOnly ? 'ro' : 'rw', 'nosuid', 'nodev'],
        })),
      ],
      linux: { namespaces: ['pid', 'mount', 'ipc', 'uts', ...(isAlone ? ['network'] : [])].map((type) => ({ type })) },
    };
    mkdirSync(this.#state, { recursive: true });
    writeFileSync(join(folder, 'config.json'), JSON.stringify(specification));
    // Where a machine has control groups of both versions, crun without a manager stumbles over the newer ones.
    const script = 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$@"';
    const words = ['run', '--bundle', folder, this.#name];
    this.child = spawn('unshare', ['--mount', 'sh', '-c', script, 'sh', ...this.#crun(...words)], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.on('data', (chunk: Buffer) => (this.#said += String(chunk)));
    this.exit = once(this.child, 'close').then(([code, signal]) => (code ?? signal) as number | string);
  }

  /** What it wrote to either stream. */
  get said(): string {
    return this.#said;
  }

  /** Runs a command in it; returns its exit code and output. */
  exec(...words: readonly string[]): { readonly code: number | null; readonly output: string } {
    const [command = '', ...rest] = this.#crun('exec', this.#name, ...words);
    const { status, stderr, stdout } = spawnSync(command, rest, { encoding: 'utf8' });
    return { code: status, output: `${stdout}${stderr}` };
  }

  async stop(signal: 'TERM' | 'KILL' = 'TERM'): Promise<number | string> {
    const [command = '', ...rest] = this.#crun('kill', this.#name, signal);
    spawnSync(command, rest);
    return this.exit;
  }

  #crun(...words: readonly string[]): readonly string[] {
    return ['crun', '--root', this.#state, '--cgroup-manager=disabled', ...words];
  }
}

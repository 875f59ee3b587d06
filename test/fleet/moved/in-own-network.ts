import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';

/** Loopback alone, and a DNS server at 127.0.0.1. */
const SETTING = `
ip link set lo up
printf 'nameserver 127.0.0.1\\noptions timeout:5 attempts:3\\n' > "$RESOLVER"
mount --bind "$RESOLVER" /etc/resolv.conf
exec "$@"`;
/** User, network and mounts of their own, for which no privilege is needed. */
const OWN = ['--user', '--map-root-user', '--net', '--mount', 'sh', '-ec'];

/** Whether this machine permits a network of its own to whoever asks. */
export const hasOwnNetwork = (): boolean =>
  spawnSync('unshare', [...OWN, 'ip link set lo up && mount --bind /dev/null /etc/resolv.conf']).status === 0;

/**
 * Runs a program of this folder by Node.js in a network of its own; gives its last line, or throws with what it said.
 *
 * @param resolver a file that does not exist, for the place of the DNS server
 */
export async function inOwnNetwork(program: string, args: readonly string[], resolver: string): Promise<string> {
  const words = [...OWN, SETTING, 'sh', process.execPath, resolve(import.meta.dirname, program), ...args];
  const child = spawn('unshare', words, {
    env: { ...process.env, RESOLVER: resolver },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (out += String(chunk)));
  child.stderr.on('data', (chunk: Buffer) => (err += String(chunk)));
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${err}`);
  return out.trimEnd().split('\n').at(-1) ?? '';
}

import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { CACHE_MARKER, intoCache } from '../../src/dev/envoy-binary.ts';
import { until } from '../until.ts';
import type { ClusterParts } from './cluster-parts.ts';

/** How the prepared folder came to be: another number makes it anew. */
const VERSION = 1;

/**
 * The folder that containerd has once it has imported and unpacked the images of the cluster's own pods. It is made once and kept in the cache beside
 * their archive: a cluster starts with a copy, which takes a second, where the import takes ten.
 *
 * @param more an archive in the cache whose images it has too: Istio's, whose import takes half a minute. Default none
 */
export async function preparedImages(parts: ClusterParts, more: string | null = null): Promise<string> {
  const { clients, images, node } = parts;
  const own = `${dirname(images)}-unpacked-${VERSION}`;
  const folder = more === null ? own : `${dirname(more)}-unpacked-${VERSION}-beside-${basename(dirname(images))}`;
  if (existsSync(join(folder, CACHE_MARKER))) return folder;
  const first = more === null ? null : await preparedImages(parts);
  return intoCache(folder, async (scratch) => {
    if (first !== null) copyPrepared(first, scratch);
    await unpack(scratch, { containerd: node.containerd, ctr: clients.ctr, images: more ?? images });
    return folder;
  });
}

/** Snapshots keep their owners, modes and hard links. */
const copyPrepared = (from: string, to: string): void => {
  execFileSync('cp', ['--archive', `${from}/.`, to]);
  rmSync(join(to, CACHE_MARKER));
};

async function unpack(
  folder: string,
  { containerd, ctr, images }: { readonly containerd: string; readonly ctr: string; readonly images: string },
): Promise<void> {
  // Not in the folder: the path of a socket is short.
  const own = mkdtempSync(join(tmpdir(), 'images-'));
  const socket = join(own, 'containerd.sock');
  const configuration = join(own, 'containerd.toml');
  writeFileSync(
    configuration,
    `version = 3
root = "${folder}"
state = "${join(own, 'state')}"
disabled_plugins = ["io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"]
[grpc]
  address = "${socket}"
`,
  );
  // It ends with this process too.
  const daemon = spawn('setpriv', ['--pdeathsig', 'KILL', containerd, '--config', configuration], { stdio: 'ignore' });
  const ended = new Promise((resolve) => daemon.once('exit', resolve));
  try {
    await until(() => existsSync(socket), { what: 'a containerd that imports images' });
    execFileSync(ctr, ['--address', socket, '--namespace', 'k8s.io', 'images', 'import', images], { stdio: 'pipe' });
  } finally {
    daemon.kill();
    await ended;
    rmSync(own, { recursive: true });
  }
}

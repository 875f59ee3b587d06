import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { writeArchive } from '../../.ci/release/archive.ts';
import { PLATFORMS } from '../../.ci/release/image.ts';
import { clusterProgramsFolder } from '../parts/cluster.ts';
import type { Cluster } from './cluster.ts';
import { IMAGE } from './release.ts';
import type { Release } from './release.ts';

/** What an image has beside those of a release. */
export interface Variant {
  readonly tag: string;
  /** Files by their path in the image: a text, or the path of a file to copy as `{ from }`. */
  readonly files: Readonly<Record<string, string | { readonly from: string }>>;
  /** Variables of its programs. */
  readonly environment?: readonly string[];
}

/** Names a blob of a layout. */
interface Descriptor {
  readonly digest: string;
  readonly size: number;
  readonly mediaType: string;
}

/** Publishes the image of a release with one more layer, for the platform of this machine, under another tag. Returns its name. */
export async function publishVariant(cluster: Cluster, { image }: Release, variant: Variant): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'rv-'));
  try {
    const layout = join(folder, 'layout');
    mkdirSync(layout);
    execFileSync('tar', ['--extract', '--file', image, '--directory', layout]);
    addLayer(layout, join(folder, 'layer'), variant);
    const name = IMAGE.replace(/:[^:]*$/, `:${variant.tag}`);
    await cluster.run([join(clusterProgramsFolder, 'registry'), 'push', layout, name]);
    return name;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Makes the one entry of a layout an image with one more layer. */
function addLayer(layout: string, scratch: string, { environment = [], files }: Variant): void {
  const pathOf = (digest: string): string => join(layout, 'blobs', digest.replace(':', '/'));
  const read = ({ digest }: Descriptor) => JSON.parse(readFileSync(pathOf(digest), 'utf8'));
  const blob = (bytes: Buffer | string, mediaType: string): Descriptor => {
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    writeFileSync(pathOf(digest), bytes);
    return { digest, size: statSync(pathOf(digest)).size, mediaType };
  };
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(scratch, path)), { recursive: true });
    if (typeof content === 'string') writeFileSync(join(scratch, path), content);
    else cpSync(content.from, join(scratch, path), { dereference: true });
  }
  const tar = `${scratch}.tar`;
  writeArchive(scratch, tar, { seconds: 0 });
  const layer = blob(readFileSync(tar), 'application/vnd.oci.image.layer.v1.tar');

  const [index] = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')).manifests;
  const architecture = process.arch === 'x64' ? PLATFORMS[0] : PLATFORMS[1];
  const manifest = read(
    read(index).manifests.find(
      (one: { readonly platform: { readonly architecture: string } }) => one.platform.architecture === architecture,
    ),
  );
  const config = read(manifest.config);
  config.config.Env = [...config.config.Env, ...environment];
  config.rootfs.diff_ids.push(layer.digest);
  config.history.push({ created_by: 'a test' });
  manifest.config = blob(JSON.stringify(config), manifest.config.mediaType);
  manifest.layers.push(layer);
  const entry = blob(JSON.stringify(manifest), 'application/vnd.oci.image.manifest.v1+json');
  writeFileSync(join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
}

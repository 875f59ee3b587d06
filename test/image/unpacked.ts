import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** What an image says of how it is run. */
export interface ImageConfig {
  readonly architecture: string;
  readonly created: string;
  readonly config: {
    readonly User: string;
    readonly Env: readonly string[];
    readonly Entrypoint: readonly string[];
    readonly Cmd: readonly string[];
    readonly WorkingDir: string;
    readonly Labels: Readonly<Record<string, string>>;
  };
}

/** The image of one platform in an OCI archive. */
export interface PlatformImage extends ImageConfig {
  /** Files of its layers, lowest first. */
  readonly layers: readonly string[];
  /** Digests of the layers, as they are compressed. */
  readonly digests: readonly string[];
  /** What is transferred to run it. */
  readonly compressedBytes: number;
}

interface Reference {
  readonly digest: string;
}

/** Reads an OCI archive into an empty folder: its images by processor. @see https://github.com/opencontainers/image-spec */
export function imagesIn(archive: string, folder: string): ReadonlyMap<string, PlatformImage> {
  execFileSync('tar', ['--extract', '--file', archive, '--directory', folder]);
  const blob = ({ digest }: Reference): string => join(folder, 'blobs', digest.replace(':', '/'));
  const read = (reference: Reference): unknown => JSON.parse(readFileSync(blob(reference), 'utf8'));
  const { manifests } = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8'));
  const index = read(manifests[0]) as {
    readonly manifests: readonly (Reference & { readonly platform: { readonly architecture: string } })[];
  };
  return new Map(
    index.manifests.map((one) => {
      const manifest = read(one) as { readonly config: Reference; readonly layers: readonly Reference[] };
      const layers = manifest.layers.map(blob);
      const compressedBytes = layers.reduce((sum, file) => sum + statSync(file).size, 0);
      const digests = manifest.layers.map(({ digest }) => digest);
      return [
        one.platform.architecture,
        { ...(read(manifest.config) as ImageConfig), layers, digests, compressedBytes },
      ];
    }),
  );
}

/** Unpacks the layers of an image over each other; it must delete nothing, so no layer hides a file of another. */
export function unpack({ layers }: PlatformImage, folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const layer of layers)
    execFileSync('tar', [
      '--extract',
      '--preserve-permissions',
      '--numeric-owner',
      '--file',
      layer,
      '--directory',
      folder,
    ]);
}

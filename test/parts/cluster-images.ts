import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { writeArchive } from '../../.ci/release/archive.ts';

/** An image of one program, which is its entry point: `/NAME`. */
export interface ProgramImage {
  /** As pods name it. */
  readonly image: string;
  /** Path of the program. */
  readonly program: string;
  /** Path of an archive with the files below it, as a C library. Default none, for programs that need none. */
  readonly base?: string;
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

const MEDIA = 'application/vnd.oci.image';
/** What is packed is the same in every run. */
const SECONDS = 315_532_800;

/**
 * Writes images as one OCI archive that `ctr images import` reads, without an engine. Takes `strip`, of the C compiler's binutils.
 *
 * @param scratch an existing folder for what is packed; nothing stays there
 * @see https://github.com/opencontainers/image-spec/blob/main/image-layout.md
 */
export function writeProgramImages(images: readonly ProgramImage[], file: string, scratch: string): void {
  const layout = join(scratch, 'layout');
  const blobs = join(layout, 'blobs/sha256');
  mkdirSync(blobs, { recursive: true });
  const blob = (kind: string, content: Buffer): Descriptor => {
    const digest = createHash('sha256').update(content).digest('hex');
    writeFileSync(join(blobs, digest), content);
    return { mediaType: `${MEDIA}.${kind}`, digest: `sha256:${digest}`, size: content.length };
  };
  const json = (kind: string, value: object): Descriptor => blob(kind, Buffer.from(JSON.stringify(value)));
  const layer = (archive: string): Descriptor => blob('layer.v1.tar', readFileSync(archive));

  const manifests = images.map(({ base, image, program }) => {
    const layers = [...(base === undefined ? [] : [layer(base)]), layer(archiveOf(program, scratch))];
    const config = json('config.v1+json', {
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      config: { Entrypoint: [`/${basename(program)}`], WorkingDir: '/' },
      rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
    });
    const manifest = json('manifest.v1+json', {
      schemaVersion: 2,
      mediaType: `${MEDIA}.manifest.v1+json`,
      config,
      layers,
    });
    return { ...manifest, annotations: { 'io.containerd.image.name': image } };
  });
  writeFileSync(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  writeFileSync(
    join(layout, 'index.json'),
    JSON.stringify({ schemaVersion: 2, mediaType: `${MEDIA}.index.v1+json`, manifests }),
  );
  writeArchive(layout, file, { seconds: SECONDS });
  for (const name of ['layout', 'layer.tar']) rmSync(join(scratch, name), { recursive: true });
}

/** A layer that has the program alone. */
function archiveOf(program: string, scratch: string): string {
  const [folder, file] = [join(scratch, 'layer'), join(scratch, 'layer.tar')];
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  // Without symbols SPIRE is smaller by a third.
  execFileSync('strip', ['-o', join(folder, basename(program)), program]);
  writeArchive(folder, file, { seconds: SECONDS });
  rmSync(folder, { recursive: true });
  return file;
}

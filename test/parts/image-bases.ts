import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CACHE_MARKER, intoCache, type BinaryProblem } from '../../src/dev/envoy-binary.ts';
import { imageBasesFolder } from './cache.ts';

/** What a distroless base has too. */
const LIBRARIES = ['libc6', 'libgcc-s1', 'libstdc++6'];

/**
 * Makes what stands for the public base images where no registry is reached: `base-amd64.tar` and `base-arm64.tar`, a C library and nothing that
 * could be run; `build.tar`, in which a Dockerfile can run commands; and `node-arm64`, Node.js of the other platform. Takes mmdebstrap and npm;
 * quick where it was done before.
 */
export async function makeImageBases(say: (line: string) => void): Promise<string | BinaryProblem> {
  if (existsSync(join(imageBasesFolder, CACHE_MARKER))) return imageBasesFolder;
  say(`making the bases of the image in ${imageBasesFolder} (about a minute, once)`);
  try {
    return await intoCache(imageBasesFolder, async (scratch) => {
      const debian = (file: string, architecture: string, packages: readonly string[]): void =>
        quietly('mmdebstrap', [
          '--quiet',
          '--variant=extract',
          `--architectures=${architecture}`,
          `--include=${packages.join(',')}`,
          'bookworm',
          join(scratch, file),
        ]);
      debian('base-amd64.tar', 'amd64', LIBRARIES);
      debian('base-arm64.tar', 'arm64', [...LIBRARIES, 'libatomic1']);
      debian('build.tar', 'amd64', [...LIBRARIES, 'libatomic1', 'dash', 'coreutils', 'sed']);
      await nodeOf('arm64', scratch);
      return imageBasesFolder;
    });
  } catch (error) {
    return { problem: `could not make the bases of the image, which takes mmdebstrap: ${String(error)}` };
  }
}

/** The same Node.js for another processor, as npm has it. */
async function nodeOf(processor: string, scratch: string): Promise<void> {
  const name = `node-linux-${processor}`;
  quietly('npm', ['pack', '--silent', '--pack-destination', scratch, `${name}@${process.versions.node}`]);
  const archive = join(scratch, `${name}-${process.versions.node}.tgz`);
  quietly('tar', ['--extract', '--file', archive, '--directory', scratch, 'package/bin/node']);
  await rename(join(scratch, 'package/bin/node'), join(scratch, `node-${processor}`));
  await rm(join(scratch, 'package'), { recursive: true });
  await rm(archive);
}

const quietly = (command: string, args: readonly string[]): void =>
  void execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });

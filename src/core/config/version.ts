import { readFileSync } from 'node:fs';
import { builtFile, productFile } from '../runtime/system/product-file.ts';

/** Written by the build beside the built files. Without a build, the package manifest names the release. */
const BUILT = builtFile('version.txt');
const MANIFEST = productFile('package.json');

/**
 * The version of this build: the release, and the commit it was built from as build metadata, such as `0.1.0+84bff23a9c01`. The release
 * alone if the sources run unbuilt or were built outside a git checkout; `unknown` if neither file can be read.
 *
 * @see https://semver.org section 10
 */
export function remitVersion(): string {
  return textOrNull(BUILT)?.trim() ?? releaseFrom(textOrNull(MANIFEST)) ?? 'unknown';
}

function textOrNull(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

function releaseFrom(text: string | null): string | null {
  const manifest: unknown = text === null ? null : JSON.parse(text);
  const version = typeof manifest === 'object' && manifest !== null && 'version' in manifest ? manifest.version : null;
  return typeof version === 'string' ? version : null;
}

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The members of `package.json` that a release reads. */
export interface Manifest {
  readonly name: string;
  /** The version of everything that is released: no other file says one. */
  readonly version: string;
  readonly license: string;
  readonly dependencies: Readonly<Record<string, string>>;
}

/** `package.json` of the sources. */
export const manifestIn = (root: string): Manifest => JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** Members that only a clone needs. A released package builds nothing, and may be published. */
const OF_CLONES = new Set(['private', 'scripts', 'devDependencies', 'files']);

/** The manifest of the released package, which brings the packages it needs. */
export const releasedManifest = (manifest: Manifest): object => ({
  ...Object.fromEntries(Object.entries(manifest).filter(([member]) => !OF_CLONES.has(member))),
  bundleDependencies: Object.keys(manifest.dependencies),
});

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A package that the product runs with. */
export interface ProductionPackage {
  /** Its folder, relative to the root: `node_modules/pg`. */
  readonly path: string;
  readonly name: string;
  readonly version: string;
  /** An SPDX expression. */
  readonly license: string;
  /** Subresource integrity of the archive: `sha512-…`. */
  readonly integrity: string;
  /** Names of the packages it imports, optional and peer ones included. */
  readonly needs: readonly string[];
}

interface Entry {
  readonly version: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly dev?: boolean;
  readonly devOptional?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

interface LockFile {
  readonly packages: Readonly<Record<string, Entry>>;
}

const lockIn = (root: string): LockFile => JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));

/** The packages of the lock file that are no development dependencies, by path. Throws where one has no integrity or no licence. */
export function productionPackages(root: string): readonly ProductionPackage[] {
  return Object.entries(lockIn(root).packages)
    .filter(([path, { dev = false, devOptional = false }]) => path !== '' && !dev && !devOptional)
    .map(([path, entry]) => {
      const { integrity, license, version } = entry;
      if (integrity === undefined || license === undefined)
        throw new Error(`package-lock.json: \`${path}\` has no integrity or no license`);
      const needs = Object.keys({ ...entry.dependencies, ...entry.optionalDependencies, ...entry.peerDependencies });
      return { path, name: nameIn(path), version, license, integrity, needs: needs.toSorted() };
    })
    .toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

/** The package that `name` means in the code of the package at `path`, as Node looks for it: beside it, then further up. */
export function resolvedFrom(
  path: string,
  name: string,
  all: ReadonlyMap<string, ProductionPackage>,
): ProductionPackage | null {
  for (let at = path; ; at = at.slice(0, Math.max(0, at.lastIndexOf('/node_modules/')))) {
    const found = all.get(at === '' ? `node_modules/${name}` : `${at}/node_modules/${name}`);
    if (found !== undefined || at === '') return found ?? null;
  }
}

const nameIn = (path: string): string => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);

import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Owned, SocketFacts } from '../envoy/envoy-facts.ts';

/** Most sockets that are examined. */
const MAX_SOCKETS = 1_000;

/** What is at these paths on this machine. */
export const socketFactsOf = (paths: readonly string[]): ReadonlyMap<string, SocketFacts> =>
  new Map([...new Set(paths)].slice(0, MAX_SOCKETS).map((path) => [path, socketAt(path)]));

function socketAt(path: string): SocketFacts {
  try {
    const found = statSync(path);
    if (!found.isSocket()) return { kind: 'no-socket' };
    return {
      kind: 'socket',
      ...ownedOf(path),
      folders: foldersAbove(path).map(folderOf),
    };
  } catch (error) {
    // By shape: under a test runner the error is of another realm.
    const { code } = error as { readonly code?: unknown };
    return { kind: code === 'ENOENT' || code === 'ENOTDIR' ? 'missing' : 'unreadable' };
  }
}

function ownedOf(path: string): Owned {
  const { gid, mode, uid } = statSync(path);
  return { mode: mode & 0o777, uid, gid };
}

/** The folders above a path, the outermost first. */
export function foldersAbove(path: string): readonly string[] {
  const above = dirname(path);
  return above === path ? [] : [...foldersAbove(above), above];
}

const folderOf = (path: string): Owned & { readonly path: string } => ({ path, ...ownedOf(path) });

import type { PathGuard } from '../../config/writable-path.ts';
import type { Problem } from '../../runtime/problem.ts';
import { SlicePool } from '../pool.ts';
import { compileToServe } from './compile.ts';
import type { LoadPolicySet } from '../policy-in-force.ts';
import { loadPolicies } from './load.ts';
import { folderStamp, systemDisk } from './source.ts';

/** A source of policies that can be polled for changes. */
export interface PolicyFeed {
  /** A fingerprint that changes with the set; a problem where the source cannot be asked. Never rejects. */
  readonly look: () => Promise<string | Problem>;
  /** Loads the set seen last, or a newer one. */
  readonly load: LoadPolicySet;
  /** Restores the last good set kept from an earlier run; returns whether there was one. Only before anything was loaded. */
  readonly fallBack?: () => boolean;
  /** Whether a set arrives atomically. Otherwise it is loaded only after two equal looks. */
  readonly isWhole: boolean;
}

/** The policies of a folder: files, links, or a mounted ConfigMap. @param guard refuses a file or folder, at each load */
export function folderFeed(folder: string, guard: PathGuard): PolicyFeed {
  const ports = { disk: { ...systemDisk, guard }, compile: compileToServe(), pool: new SlicePool() };
  return { look: () => folderStamp(folder), load: () => loadPolicies(folder, ports), isWhole: false };
}

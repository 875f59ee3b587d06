import type { PathGuard } from '../../config/writable-path.ts';
import type { Problem } from '../../token/members.ts';
import { compileInWorker } from './compile.ts';
import type { LoadPolicySet } from '../policy-in-force.ts';
import { loadPolicies } from './load.ts';
import { folderStamp, systemDisk } from './source.ts';

/** Where policies come from, and come again when they change. */
export interface PolicyFeed {
  /** What is another whenever there is another set; a problem where the source cannot be asked. Never rejects. */
  readonly look: () => Promise<string | Problem>;
  /** Loads what was looked at last, or what is newer. */
  readonly load: LoadPolicySet;
  /** Goes back to the last good set, where one was kept from before; whether it was. Only before anything was loaded. */
  readonly fallBack?: () => boolean;
  /** Whether a set arrives whole. What does not is loaded only once it has been the same at two looks. */
  readonly isWhole: boolean;
}

/** The policies of a folder: files, links, or a mounted ConfigMap. @param guard refuses a file or folder, at each load */
export const folderFeed = (folder: string, guard: PathGuard): PolicyFeed => ({
  look: () => folderStamp(folder),
  load: () => loadPolicies(folder, { disk: { ...systemDisk, guard }, compile: compileInWorker() }),
  isWhole: false,
});

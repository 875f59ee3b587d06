import { statSync } from 'node:fs';
import { basename, isAbsolute, join } from 'node:path';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { NamedFile } from '../envoy/envoy-facts.ts';
import { pathsIn } from '../envoy/named-paths.ts';
import { fromProtoJson } from '../proto-json.ts';
import { listAt } from '../tree.ts';
import { documentsIn } from './host-text.ts';

/** What a bootstrap takes from files: LDS, CDS, RDS, EDS, SDS and filters. */
interface Delivered {
  readonly resources: readonly unknown[];
  /**
   * Files by path that were found beside the bootstrap and not at their path, so that their modes mean nothing, and files that
   * were not read because a bound was reached.
   */
  readonly beside: ReadonlyMap<string, NamedFile>;
}

const MAX_SOURCES = 100;
const READ: NamedFile = { kind: 'file', writable: null, exposed: null, hasKey: false, cas: [] };
const UNREAD: NamedFile = { ...READ, kind: 'unreadable' };

/** Reads the configuration files that a bootstrap names, and those that they name. `folder` is that of the bootstrap. */
export function deliveredTo(bootstrap: unknown, folder: string): Delivered {
  const paths = new Set(sourcesIn(bootstrap));
  const resources: unknown[] = [];
  const beside = new Map<string, NamedFile>();
  let count = 0;
  for (const path of paths) {
    count += 1;
    if (count > MAX_SOURCES || resources.length > MAX_RESOURCES) {
      beside.set(path, UNREAD);
      continue;
    }
    const place = placeOf(path, folder);
    const documents = place === null ? [] : documentsIn(place);
    if (place === null || isProblem(documents)) continue;
    const found = documents.flatMap((one) => listAt(fromProtoJson(one), 'resources'));
    resources.push(...found);
    if (place !== path) beside.set(path, READ);
    for (const next of found.flatMap(sourcesIn)) paths.add(next);
  }
  return { resources, beside };
}

const MAX_RESOURCES = 100_000;

const sourcesIn = (value: unknown): readonly string[] =>
  pathsIn(value).flatMap(({ field, path, use }) =>
    use === 'source' && !field.includes('watched_directory') ? [path] : [],
  );

/** Finds a file at its path, or beside the bootstrap as in a repository. A pipe, which a hostile bootstrap may name, does not count. */
function placeOf(path: string, folder: string): string | null {
  if (isAbsolute(path) && isFile(path)) return path;
  const beside = join(folder, isAbsolute(path) ? basename(path) : path);
  return isFile(beside) ? beside : null;
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

import { hash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { policySetFrom } from '../../core/policy/loading/load.ts';
import type { PolicySet } from '../../core/policy/loading/load.ts';
import { taskRefusal } from '../task/task-source.ts';
import type { CommandRefusal } from '../task/task-source.ts';

const MAX_SPEC_BYTES = 8 * 1024 * 1024;

/** The file of a specification, as reports name it. */
export interface SpecificationFile {
  /** Its name without folders. */
  readonly file: string;
  /** Of its bytes, base64url. */
  readonly sha256: string;
}

/** The policies of a file as a set of their own, checked against the catalog, the schema and the entities of another set. */
export async function specificationAt(
  path: string,
  { source }: PolicySet,
): Promise<{ readonly set: PolicySet; readonly file: SpecificationFile } | CommandRefusal> {
  const about = await stat(path).catch((error: NodeJS.ErrnoException) => error);
  if ('message' in about) return taskRefusal(`\`${path}\` could not be read: ${about.code ?? 'unknown error'}`);
  if (!about.isFile() || about.size > MAX_SPEC_BYTES)
    return taskRefusal(`\`${path}\` must be a file of at most ${MAX_SPEC_BYTES} bytes`);
  const text = await readFile(path, 'utf8');
  const { enforcement: _enforcement, ...rest } = source;
  const set = await policySetFrom({ ...rest, policies: [{ name: 'spec.cedar', file: path, text }] });
  if (!('findings' in set)) return { set, file: { file: basename(path), sha256: hash('sha256', text, 'base64url') } };
  return taskRefusal(
    set.findings.map(({ file, line, column, message }) => `${file}:${line}:${column}: ${message}`).join('\n'),
  );
}

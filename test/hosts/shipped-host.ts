import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseAllDocuments } from 'yaml';

/** A document of a shipped file; each test says what it reads of it. */
// oxlint-disable-next-line typescript/no-explicit-any -- the shape is the host's
export type HostDocument = any;

/** All documents of the YAML files of a host in `deploy/hosts/`, in the order of their names. */
export async function shippedHost(name: string): Promise<readonly HostDocument[]> {
  const folder = resolve(import.meta.dirname, '../../deploy/hosts', name);
  const files = (await readdir(folder)).filter((file) => file.endsWith('.yaml')).sort();
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')));
  return texts.flatMap((text) => parseAllDocuments(text).map((document) => document.toJS()));
}

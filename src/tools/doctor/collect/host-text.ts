import { closeSync, openSync, readSync } from 'node:fs';
import { isAlias, parseAllDocuments, visit } from 'yaml';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';

const MAX_FILE_BYTES = 8 * 1_048_576;
/** Aliases of one document: the shipped configurations of Envoy have a few. */
const MAX_ALIASES = 200;

/** The values of all documents of a YAML or JSON file, or why there are none. */
export function documentsIn(file: string): readonly unknown[] | Problem {
  const text = textIn(file);
  if (isProblem(text)) return text;
  const documents = documentsFrom(text);
  return isProblem(documents) ? { problem: `\`${file}\`: ${documents.problem}` } : documents;
}

/** Why a file or folder could not be read. By shape: under a test runner the error is of another realm. */
export const unreadable = (path: string, error: unknown): Problem => ({
  problem: `\`${path}\` could not be read: ${String((error as { readonly code?: unknown }).code)}`,
});

function textIn(file: string): string | Problem {
  try {
    const bytes = startOf(file, MAX_FILE_BYTES + 1);
    if (bytes.length > MAX_FILE_BYTES) return { problem: `\`${file}\` is longer than ${MAX_FILE_BYTES} bytes` };
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    return code === 'ERR_ENCODING_INVALID_ENCODED_DATA'
      ? { problem: `\`${file}\` is not UTF-8` }
      : unreadable(file, error);
  }
}

/** At most `maxBytes` of a file, which may be a device without an end. */
function startOf(file: string, maxBytes: number): Buffer {
  const descriptor = openSync(file, 'r');
  try {
    const chunks: Buffer[] = [];
    let left = maxBytes;
    while (left > 0) {
      const chunk = Buffer.alloc(Math.min(left, 65_536));
      const length = readSync(descriptor, chunk);
      if (length === 0) break;
      chunks.push(chunk.subarray(0, length));
      left -= length;
    }
    return Buffer.concat(chunks);
  } finally {
    closeSync(descriptor);
  }
}

/** The values of all documents. Templates of Helm are no YAML: render them first. */
export function documentsFrom(text: string): readonly unknown[] | Problem {
  const documents = parseAllDocuments(text, { prettyErrors: false, uniqueKeys: true });
  if (!Array.isArray(documents)) return [];
  const values: unknown[] = [];
  for (const document of documents) {
    const [error] = document.errors;
    if (error !== undefined) return { problem: `not YAML: ${error.message}` };
    let aliases = 0;
    visit(document, (_key, node) => {
      if (isAlias(node)) aliases += 1;
    });
    if (aliases > MAX_ALIASES) return { problem: `more than ${MAX_ALIASES} aliases` };
    try {
      values.push(document.toJS({ maxAliasCount: MAX_ALIASES }));
    } catch {
      return { problem: 'not YAML: its aliases do not resolve' };
    }
  }
  return values.filter((value) => value !== null && value !== undefined);
}

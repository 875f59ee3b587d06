import { closeSync, openSync, readSync } from 'node:fs';
import { isAlias, parseAllDocuments, visit } from 'yaml';
import type { Document, ScalarTag } from 'yaml';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import { LINEAR, repeatedKeys } from '../../../core/runtime/yaml-text.ts';
import { mergedValue } from './yaml-merges.ts';

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

/** Words that are booleans to Kubernetes and to Envoy, which read YAML 1.1: `failOpen: yes` is on. */
const booleans: ScalarTag = {
  identify: () => false,
  default: true,
  tag: 'tag:yaml.org,2002:bool',
  test: /^(?:y|Y|yes|Yes|YES|on|On|ON|n|N|no|No|NO|off|Off|OFF)$/,
  resolve: (word) => /^(?:y|on)/i.test(word),
};

/** Numbers that are octal to both. */
const octals: ScalarTag = {
  identify: () => false,
  default: true,
  tag: 'tag:yaml.org,2002:int',
  test: /^[-+]?0[0-7]+$/,
  resolve: (digits) => Number.parseInt(digits, 8),
};

/** The values of all documents, as Kubernetes and Envoy read them. Templates of Helm are no YAML: render them first. */
export function documentsFrom(text: string): readonly unknown[] | Problem {
  try {
    const documents = parseAllDocuments(text, {
      prettyErrors: false,
      ...LINEAR,
      customTags: (tags) => [booleans, octals, ...tags],
    });
    const values: unknown[] = [];
    for (const document of Array.isArray(documents) ? documents : []) {
      const read = valueOf(document);
      if (isProblem(read)) return read;
      values.push(read.value);
    }
    return values.filter((value) => value !== null && value !== undefined);
  } catch {
    // The parser and the walks over its values are recursive, and end at the bound of the stack.
    return { problem: 'not YAML: its aliases do not resolve, or its values are nested too deeply' };
  }
}

/** The value of a document. @throws if its aliases do not resolve */
function valueOf(document: Document.Parsed): { readonly value: unknown } | Problem {
  const [error = repeatedKeys(document)[0]] = document.errors;
  if (error !== undefined) return { problem: `not YAML: ${error.message}` };
  let aliases = 0;
  visit(document, (_key, node) => {
    if (isAlias(node)) aliases += 1;
  });
  if (aliases > MAX_ALIASES) return { problem: `more than ${MAX_ALIASES} aliases` };
  return mergedValue(document.toJS({ maxAliasCount: MAX_ALIASES }));
}

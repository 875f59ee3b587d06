/** The value of a description of an API, which is JSON or YAML. */
import { parseDocument } from 'yaml';
import { strictJsonFrom } from '../../../core/token/jose/strict-json.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import { LINEAR, repeatedKeys } from '../../../core/runtime/yaml-text.ts';

const NO_DOCUMENT = { problem: 'it must be YAML or JSON' } as const;

/** Reads what a JSON or YAML document describes. */
export function fromApiDocument<T>(bytes: Uint8Array, read: (document: unknown) => T | Problem): T | Problem {
  const document = apiDocumentFrom(bytes);
  return isProblem(document) ? document : read(document.value);
}

/** The value of a JSON or YAML document with unique keys, in a time that is linear in its bytes. */
function apiDocumentFrom(bytes: Uint8Array): { readonly value: unknown } | Problem {
  // JSON is YAML too, which takes many times longer to read.
  const json = strictJsonFrom(bytes);
  return isProblem(json) ? yamlFrom(Buffer.from(bytes).toString('utf8')) : json;
}

function yamlFrom(text: string): { readonly value: unknown } | Problem {
  try {
    const document = parseDocument(text, { prettyErrors: false, ...LINEAR });
    if (document.errors.length > 0) return NO_DOCUMENT;
    if (repeatedKeys(document).length > 0) return { problem: `${NO_DOCUMENT.problem}, without a key twice` };
    return { value: document.toJS() as unknown };
  } catch {
    return NO_DOCUMENT;
  }
}

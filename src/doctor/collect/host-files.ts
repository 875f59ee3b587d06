import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isAlias, parseAllDocuments, visit } from 'yaml';
import { isProblem } from '../../runtime/problem.ts';
import type { Problem } from '../../runtime/problem.ts';
import { configFromBootstrap } from '../envoy/envoy-config.ts';
import type { EnvoyFacts } from '../envoy/envoy-facts.ts';
import type { BundlePart, Collected } from '../facts.ts';
import { objectsFrom } from '../hosts/host-object.ts';
import type { HostObject } from '../hosts/host-object.ts';
import { counted } from '../counted.ts';
import { redacted } from '../redacted.ts';
import { snakeCased } from '../snake-cased.ts';
import { at, textAt } from '../tree.ts';

const MAX_FILE_BYTES = 8 * 1_048_576;
const MAX_FILES = 1_000;
const MAX_DEPTH = 10;
/** Aliases of one document: the shipped configurations of Envoy have a few. */
const MAX_ALIASES = 200;

const OF_HOSTS = 'an Envoy bootstrap, objects of Istio or Envoy Gateway, the configuration of agentgateway';

/** Reads the files of a host without the host. A folder stands for the YAML and JSON files in it and below. */
export function collectFiles(paths: readonly string[], remitCluster: string | null): Collected {
  const found = paths.flatMap((path) => filesAt(path, 0));
  const files = found.filter((one) => typeof one === 'string');
  const read = files.slice(0, MAX_FILES).map((file) => readHostFile(file, remitCluster));
  const known = read.flatMap((one) => (isProblem(one) ? [] : [one]));
  const count = known.reduce((sum, { envoys, objects }) => sum + envoys.length + objects.length, 0);
  const more = files.length - MAX_FILES;
  return {
    facts: { envoys: known.flatMap(({ envoys }) => envoys), objects: known.flatMap(({ objects }) => objects) },
    examined:
      known.length === 0
        ? []
        : [`${counted(known.length, 'file')} in ${paths.join(', ')}: ${counted(count, 'object')}`],
    unread: [...found, ...read]
      .flatMap((one) => (isProblem(one) ? [one.problem] : []))
      .concat(known.length > 0 && count === 0 ? [`nothing in ${paths.join(', ')} is of a host: ${OF_HOSTS}`] : [])
      .concat(more > 0 ? [`${counted(more, 'file')}: more than ${MAX_FILES} were named`] : []),
    parts: known.map(({ part }) => part),
  };
}

/** The files that a path stands for, and what could not be listed. */
function filesAt(path: string, depth: number): readonly (string | Problem)[] {
  try {
    if (!statSync(path).isDirectory()) return [path];
    if (depth >= MAX_DEPTH) return [{ problem: `\`${path}\` is more than ${MAX_DEPTH} folders deep` }];
    const below = readdirSync(path, { withFileTypes: true }).toSorted((a, b) => (a.name < b.name ? -1 : 1));
    const inside = below.flatMap((entry) => {
      const file = join(path, entry.name);
      if (entry.isDirectory()) return filesAt(file, depth + 1);
      return /\.(?:ya?ml|json)$/.test(entry.name) && isPlainFile(file) ? [file] : [];
    });
    const empty = { problem: `\`${path}\` has no YAML or JSON file: ${OF_HOSTS} could not be examined` };
    return depth === 0 && inside.length === 0 ? [empty] : inside;
  } catch (error) {
    return [unreadable(path, error)];
  }
}

/** Links are followed to files, as in a mounted ConfigMap, and never to folders, which could be a circle. A dangling one is told when it is read. */
const isPlainFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? true;

/** By shape: under a test runner the error is of another realm. */
const unreadable = (path: string, error: unknown): Problem => ({
  problem: `\`${path}\` could not be read: ${String((error as { readonly code?: unknown }).code)}`,
});

interface HostFile {
  readonly envoys: readonly EnvoyFacts[];
  readonly objects: readonly HostObject[];
  readonly part: BundlePart;
}

function readHostFile(file: string, remitCluster: string | null): HostFile | Problem {
  const text = textIn(file);
  if (isProblem(text)) return text;
  const documents = documentsFrom(text);
  if (isProblem(documents)) return { problem: `\`${file}\`: ${documents.problem}` };
  const labels = documents.map((_, index) => (documents.length === 1 ? file : `${file}#${index + 1}`));
  const envoys = documents.flatMap((value, index) => bootstrapsIn(value, labels[index] ?? file, remitCluster));
  return {
    envoys,
    objects: documents.flatMap((value, index) => objectsFrom(labels[index] ?? file, value, firstDocument)),
    part: { name: file, text: JSON.stringify(redacted(documents)) },
  };
}

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
function documentsFrom(text: string): readonly unknown[] | Problem {
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

const firstDocument = (text: string): unknown => {
  const documents = documentsFrom(text);
  return isProblem(documents) ? undefined : documents[0];
};

function bootstrapsIn(value: unknown, label: string, remitCluster: string | null): readonly EnvoyFacts[] {
  if (textAt(value, 'kind') !== '' || (at(value, 'static_resources') ?? at(value, 'staticResources')) === undefined)
    return [];
  const config = configFromBootstrap(snakeCased(value));
  return [{ prefix: `${label}: `, config, live: null, sockets: new Map(), remitCluster }];
}

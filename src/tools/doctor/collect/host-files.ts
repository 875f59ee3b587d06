import { readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import { configFromBootstrap } from '../envoy/envoy-config.ts';
import type { EnvoyFacts } from '../envoy/envoy-facts.ts';
import type { BundlePart, Collected } from '../facts.ts';
import { argoNotes } from '../hosts/argo-values.ts';
import { objectsFrom } from '../hosts/host-object.ts';
import type { HostObject } from '../hosts/host-object.ts';
import { deliveredTo } from './delivered-files.ts';
import { documentsFrom, documentsIn, unreadable } from './host-text.ts';
import { namedFileAt, namedFilesOf } from './named-files.ts';
import { counted } from '../counted.ts';
import { redacted } from '../redacted.ts';
import { fromProtoJson } from '../proto-json.ts';
import { at, textAt } from '../tree.ts';

const MAX_FILES = 1_000;
const MAX_DEPTH = 10;

const OF_HOSTS = 'an Envoy bootstrap, objects of Istio or Envoy Gateway, the configuration of agentgateway';

/** Reads the configuration files of a host, which need not run. A folder means all YAML and JSON files in it and below. */
export async function collectFiles(paths: readonly string[], remitCluster: string | null): Promise<Collected> {
  const found = paths.flatMap((path) => filesAt(path, 0));
  const files = found.filter((one) => typeof one === 'string');
  const read = await Promise.all(files.slice(0, MAX_FILES).map((file) => readHostFile(file, remitCluster)));
  const known = read.flatMap((one) => (isProblem(one) ? [] : [one]));
  const objects = known.flatMap((one) => one.objects);
  const envoys = known.flatMap((one) => one.envoys);
  const count = envoys.length + objects.length;
  const more = files.length - MAX_FILES;
  return {
    facts: { envoys, objects },
    examined:
      known.length === 0
        ? []
        : [
            `${counted(known.length, 'file')} in ${paths.join(', ')}: ${counted(count, 'object')}`,
            ...argoNotes(objects, firstDocument),
          ],
    unread: [...found, ...read]
      .flatMap((one) => (isProblem(one) ? [one.problem] : []))
      .concat(known.length > 0 && count === 0 ? [`nothing in ${paths.join(', ')} is of a host: ${OF_HOSTS}`] : [])
      .concat(more > 0 ? [`${counted(more, 'file')}: more than ${MAX_FILES} were named`] : []),
    parts: known.map(({ part }) => part),
  };
}

/** The files of a path, and problems for what could not be listed. */
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

/** Links are followed to files, as in a mounted ConfigMap, and never to folders, which could be a cycle. A dangling link is reported when it is read. */
const isPlainFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? true;

interface HostFile {
  readonly envoys: readonly EnvoyFacts[];
  readonly objects: readonly HostObject[];
  readonly part: BundlePart;
}

async function readHostFile(file: string, remitCluster: string | null): Promise<HostFile | Problem> {
  const documents = documentsIn(file);
  if (isProblem(documents)) return documents;
  const labels = documents.map((_, index) => (documents.length === 1 ? file : `${file}#${index + 1}`));
  const envoys = await Promise.all(
    documents.flatMap((value, index) =>
      isBootstrap(value) ? [envoyFrom(value, { label: labels[index] ?? file, file, remitCluster })] : [],
    ),
  );
  return {
    envoys,
    objects: documents.flatMap((value, index) => objectsFrom(labels[index] ?? file, value, firstDocument)),
    part: { name: file, text: JSON.stringify(redacted(documents)) },
  };
}

const firstDocument = (text: string): unknown => {
  const documents = documentsFrom(text);
  return isProblem(documents) ? undefined : documents[0];
};

const isBootstrap = (value: unknown): boolean =>
  textAt(value, 'kind') === '' && BOOTSTRAP.some((name) => at(value, name) !== undefined);

const BOOTSTRAP = ['static_resources', 'staticResources', 'dynamic_resources', 'dynamicResources'];

/** An Envoy from its bootstrap and the configuration files that the bootstrap names. */
async function envoyFrom(
  value: unknown,
  {
    file,
    label,
    remitCluster,
  }: { readonly file: string; readonly label: string; readonly remitCluster: string | null },
): Promise<EnvoyFacts> {
  const bootstrap = fromProtoJson(value);
  const delivered = deliveredTo(bootstrap, dirname(file));
  const config = configFromBootstrap(bootstrap, delivered.resources);
  const files = new Map([
    // It may have a private key in it.
    [file, await namedFileAt(file)],
    ...(await namedFilesOf(config)),
    ...delivered.beside,
  ]);
  return { prefix: `${label}: `, config, live: null, sockets: new Map(), files, remitCluster };
}

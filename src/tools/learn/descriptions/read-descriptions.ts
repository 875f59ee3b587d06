import { readFile } from 'node:fs/promises';
import { stringify } from 'yaml';
import { catalogFrom } from '../../../core/action/catalog/catalog-assembly.ts';
import type { Catalog, Server } from '../../../core/action/catalog/catalog.ts';
import { descriptorSetFrom } from '../../../core/action/grpc/protobuf/descriptor-set.ts';
import { isProblem } from '../../../core/runtime/problem.ts';
import type { Problem } from '../../../core/runtime/problem.ts';
import { errorCode } from '../../../core/runtime/system/error-code.ts';
import { fromApiDocument } from '../../policy/import/api-document.ts';
import { importedDescriptorSet } from '../../policy/import/descriptor-set.ts';
import { itemsIn, memberOf, membersOf } from '../../policy/import/entry.ts';
import type { Entry, Imported } from '../../policy/import/entry.ts';
import { importedMcpTools } from '../../policy/import/mcp-tools.ts';
import { importedOpenApi } from '../../policy/import/openapi.ts';
import { importedProto } from '../../policy/import/proto.ts';
import type { ApiDescriptions } from './api-descriptions.ts';
import type { OperationOf } from '../seen/observations.ts';

/** Files that describe APIs, as they are named on a command line. */
export interface DescriptionFiles {
  /** `FILE`, or `HOST=FILE` if the document names no host. */
  readonly openapi: readonly string[];
  /** Answers of MCP servers to `tools/list`. */
  readonly tools: readonly string[];
  /** `.proto` files, and at most one descriptor set. */
  readonly proto: readonly string[];
}

/** Descriptions that were read, and how to find the operation of an observed call in them. */
export interface ReadDescriptions {
  readonly described: ApiDescriptions;
  /** Files that the learnt catalog names, by name. */
  readonly descriptorFiles: ReadonlyMap<string, Uint8Array>;
  readonly operationOf: OperationOf;
}

/** The name of the descriptor set beside the learnt catalog. */
const DESCRIPTOR_SET = 'described.binpb';
const MAX_BYTES = 16 * 1024 * 1024;
const PLAIN = { server: 'd', prefix: 'd.', only: [] } as const;

/** Reads files that describe APIs, at most 16 MiB each, by the code of `remit policy import`. A problem names the file. */
export async function readDescriptions(files: DescriptionFiles): Promise<ReadDescriptions | Problem> {
  const tools = new Map<string, Entry>();
  const methods = new Map<string, Entry>();
  const operations = new Map<string, Entry>();
  const apis: Api[] = [];
  let set: Uint8Array | null = null;
  for (const file of files.tools) {
    const read = await importedFrom(file, (bytes) =>
      fromApiDocument(bytes, (document) => importedMcpTools(document, PLAIN)),
    );
    if (isProblem(read)) return read;
    for (const [name, entry] of membersOf(memberOf(memberOf(read.server, 'mcp'), 'tools')))
      tools.set(name, entryFrom(entry));
  }
  for (const file of files.proto) {
    const read = await importedFrom(file, (bytes) => {
      const described = descriptorSetFrom(bytes);
      if (isProblem(described)) return importedProto(Buffer.from(bytes).toString('utf8'), PLAIN);
      if (set !== null) return { problem: 'is a second descriptor set: join the two' };
      set = bytes;
      return importedDescriptorSet(described, { ...PLAIN, file: DESCRIPTOR_SET });
    });
    if (isProblem(read)) return read;
    for (const [service, entry] of membersOf(memberOf(memberOf(read.server, 'grpc'), 'services')))
      for (const [method, of] of membersOf(memberOf(entry, 'methods')))
        methods.set(`${service}/${method}`, entryFrom(of));
  }
  for (const [index, named] of files.openapi.entries()) {
    const equals = named.indexOf('=');
    const file = named.slice(equals + 1);
    const prefix = `d${index}.`;
    const read = await importedFrom(file, (bytes) =>
      fromApiDocument(bytes, (document) => importedOpenApi(document, { ...PLAIN, prefix })),
    );
    if (isProblem(read)) return read;
    const api = apiFrom(read, equals === -1 ? null : named.slice(0, equals));
    if (isProblem(api)) return { problem: `\`${file}\` ${api.problem}` };
    apis.push(api);
    for (const route of itemsIn(memberOf(read.server, 'routes')))
      operations.set(String(memberOf(route, 'action')), entryFrom(route));
  }
  return {
    described: { tools, methods, operations, descriptorSet: set === null ? null : DESCRIPTOR_SET },
    descriptorFiles: new Map(set === null ? [] : [[DESCRIPTOR_SET, set]]),
    operationOf: ({ host, method, path }) => operationIn(apis, { host, method, path }),
  };
}

// Safe: an entry is an object that the import made.
const entryFrom = (value: unknown): Entry => Object(value) as Entry;

interface Api {
  readonly catalog: Catalog;
  readonly server: Server;
}

/** The catalog of one API by itself, to find the operation of a call as the catalog does. */
function apiFrom({ server }: Imported, host: string | null): Api | Problem {
  const hosts = host === null ? memberOf(server, 'hosts') : [host];
  if (hosts === undefined) return { problem: 'names no host: give it as `HOST=FILE`' };
  const text = stringify(
    { servers: { d: { ...server, hosts, audience: 'https://d.example' } } },
    { aliasDuplicateObjects: false },
  );
  const catalog = catalogFrom(text, 'actions.yaml');
  if ('findings' in catalog) return { problem: `makes no catalog: ${catalog.findings[0]?.message ?? ''}` };
  const made = catalog.servers.get('d');
  return made === undefined ? { problem: 'makes no server' } : { catalog, server: made };
}

function operationIn(
  apis: readonly Api[],
  { host, method, path }: { readonly host: string; readonly method: string; readonly path: string },
): string | null {
  const segments = decodedSegments(path);
  if (segments === null) return null;
  for (const { catalog, server } of apis) {
    const target = server.hosts.has(host) ? catalog.find(server, method, segments) : undefined;
    if (target?.kind === 'http') return target.action.id;
  }
  return null;
}

function decodedSegments(path: string): readonly string[] | null {
  try {
    return path.slice(1).split('/').map(decodeURIComponent);
  } catch {
    return null;
  }
}

async function importedFrom(
  file: string,
  read: (bytes: Uint8Array) => Imported | Problem,
): Promise<Imported | Problem> {
  try {
    const bytes = await readFile(file);
    if (bytes.length > MAX_BYTES) return { problem: `\`${file}\` is larger than ${MAX_BYTES} bytes` };
    const imported = read(bytes);
    return isProblem(imported) ? { problem: `\`${file}\`: ${imported.problem}` } : imported;
  } catch (error) {
    return { problem: `\`${file}\` cannot be read: ${errorCode(error) ?? String(error)}` };
  }
}

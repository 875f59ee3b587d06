/** `remit policy import`: make catalog entries from an OpenAPI, MCP tools or proto file. */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { stringify } from 'yaml';
import { catalogFrom } from '../../core/action/catalog/catalog-assembly.ts';
import { isActionId } from '../../core/action/catalog/catalog-head.ts';
import { descriptorSetsIn } from '../../core/action/catalog/catalog-descriptor-sets.ts';
import type { DescriptorFiles } from '../../core/action/catalog/catalog-descriptor-sets.ts';
import { belowPath } from '../../tools/policy/import/below-path.ts';
import { importedDescriptorSet } from '../../tools/policy/import/descriptor-set.ts';
import type { Imported, ImportOptions } from '../../tools/policy/import/entry.ts';
import { importedMcpTools } from '../../tools/policy/import/mcp-tools.ts';
import { importedOpenApi } from '../../tools/policy/import/openapi.ts';
import { importedProto } from '../../tools/policy/import/proto.ts';
import { descriptorSetFrom } from '../../core/action/grpc/protobuf/descriptor-set.ts';
import { isProblem } from '../../core/runtime/problem.ts';
import { fromApiDocument } from '../../tools/policy/import/api-document.ts';
import type { Problem } from '../../core/runtime/problem.ts';
import { EXIT, refused } from '../command.ts';
import type { Command, CommandIo } from '../command.ts';
import { optionsFrom } from '../options.ts';
import { printable } from '../../core/ledger/timeline-text.ts';
import { yamlComment } from '../../tools/policy/write/comment.ts';

const help = `remit policy import: make catalog entries from an API description, for review

usage: remit policy import openapi|mcp-tools|proto FILE [--server ID] [--host HOST] [--path PATH] [--prefix PREFIX]
                           [--only GLOB]...

  openapi      an OpenAPI 3 document, YAML or JSON
  mcp-tools    the answer of an MCP server to \`tools/list\`, JSON
  proto        a .proto file with services; or a descriptor set, which also has the arguments:
               \`protoc --include_imports --descriptor_set_out=FILE\`, \`buf build -o FILE\`
  --server ID  the id of the server in the catalog; default \`server\`
  --host HOST  its host, as callers name it; default the host in the document, else \`ID.example\`
  --path PATH  the prefix of its paths, if several servers share the host: put before each path that lacks
               it, written as \`paths\`, and appended to the audience
  --prefix PREFIX
               prefix of action ids; default \`ID.\`
  --only GLOB  what to import, repeatable: the operationId or \`METHOD /path\` of an operation, the name of a tool,
               \`package.Service/Method\`; \`*\` stands for any characters, \`?\` for one. Ids do not depend on it

Prints a server for actions.yaml, or a file such as actions/TEAM.yaml, with each argument and its type. Only you know what an action can do: before you copy it,
check the risk of each action and remove what no agent needs. A list at the end shows what could not be imported, and which
calls its schema permits but the types of the catalog deny: text of more than 4,096 bytes, integers beyond
±(2^53 - 1), numbers of more than 4 decimal places. \`null\` counts as absent, so a nullable argument is not \`required\`.

  remit policy import openapi petstore.yaml --server petstore
  remit policy import proto shop.binpb --server shop --host shop.acme.test
  remit policy import openapi github.json --server github --prefix github.repos. --only 'repos/*'
  remit policy import mcp-tools tools.json --server tickets --host tickets.acme.test

exit codes: 0 printed, 1 printed, but the catalog does not load yet, 2 bad use or an unreadable file`;

/** `remit policy import`. */
export const policyImport: Command = { name: 'policy import', help, run: importEntries };

interface Source {
  readonly bytes: Uint8Array;
  /** Its file name, by which the catalog refers to it. */
  readonly file: string;
}

type Importer = (source: Source, options: ImportOptions) => Imported | Problem;

const importers: ReadonlyMap<string, Importer> = new Map<string, Importer>([
  ['openapi', (source, options) => fromApiDocument(source.bytes, (document) => importedOpenApi(document, options))],
  ['mcp-tools', (source, options) => fromApiDocument(source.bytes, (document) => importedMcpTools(document, options))],
  ['proto', fromProto],
]);

const MAX_BYTES = 16 * 1024 * 1024;
const MAX_NOTES = 200;
const MAX_PREFIX = 64;
const PREFIX_RULE = 'letters, digits, `-` and `_`, joined by dots, at most 64, beginning with a letter';

async function importEntries(args: readonly string[], io: Pick<CommandIo, 'out' | 'err'>): Promise<number> {
  const options = optionsFrom(
    args,
    {
      server: { type: 'string', default: 'server' },
      host: { type: 'string' },
      path: { type: 'string' },
      prefix: { type: 'string' },
      only: { type: 'string', multiple: true, default: [] },
    },
    2,
  );
  if (typeof options === 'string') return refused(io, 'remit policy import', options);
  const [kind = '', file] = options.operands;
  const importer = importers.get(kind);
  if (importer === undefined || file === undefined)
    return refused(io, 'remit policy import', `expected ${[...importers.keys()].join('|')} and a FILE`);
  const bytes = await bytesOf(file);
  if (isProblem(bytes)) return refused(io, 'remit policy import', `\`${file}\` ${bytes.problem}`);
  const { server: id, host, path, only, prefix = `${id}.` } = options.values;
  if (path !== undefined && !/^(?:\/[^/{}]+)+$/.test(path))
    return refused(io, 'remit policy import', `\`--path ${path}\` must be a path such as \`/crm\``);
  if (prefix !== '' && (!isActionId(`${prefix}x`) || prefix.length > MAX_PREFIX))
    return refused(
      io,
      'remit policy import',
      `\`--prefix ${prefix.slice(0, MAX_PREFIX)}\` cannot begin an action id: ${PREFIX_RULE}`,
    );
  const source = { bytes, file: basename(file) };
  const read = importer(source, { server: id, prefix, only });
  const imported = isProblem(read) || path === undefined ? read : belowPath(read, path);
  if (isProblem(imported)) return refused(io, 'remit policy import', `\`${file}\`: ${imported.problem}`);
  return print(io, imported, { id, host, path, files: new Map([[source.file, bytes]]) });
}

async function print(
  io: Pick<CommandIo, 'out' | 'err'>,
  { server, notes }: Imported,
  {
    id,
    host,
    path = '',
    files,
  }: {
    readonly id: string;
    readonly host: string | undefined;
    readonly path: string | undefined;
    readonly files: DescriptorFiles;
  },
): Promise<number> {
  const named = host ?? `${id}.example`;
  const placed = host === undefined && 'hosts' in server ? {} : { hosts: [named], audience: `https://${named}` };
  const { hosts, paths, audience, ...rest } = { paths: undefined, ...server, ...placed };
  const shared = paths === undefined ? {} : { paths };
  const text = stringify(
    { servers: { [id]: { hosts, ...shared, audience: `${String(audience)}${path}`, ...rest } } },
    { lineWidth: 0, aliasDuplicateObjects: false },
  );
  // The imported text may contain control characters, which a terminal would obey.
  for (const line of text.trimEnd().split('\n')) io.out(printable(line));
  for (const note of notes.slice(0, MAX_NOTES)) io.out(yamlComment(note));
  if (notes.length > MAX_NOTES) io.out(yamlComment(`and ${notes.length - MAX_NOTES} notes more`));
  const catalog = catalogFrom(text, 'actions.yaml', await descriptorSetsIn(files));
  if (!('findings' in catalog)) return EXIT.good;
  for (const { line, column, message } of catalog.findings)
    io.err(printable(`actions.yaml:${line}:${column}: ${message}`));
  return EXIT.no;
}

/** Unambiguous: text is never a descriptor set with services, and a descriptor set is never text. */
function fromProto({ bytes, file }: Source, options: ImportOptions): Imported | Problem {
  const set = descriptorSetFrom(bytes);
  return isProblem(set) ? importedProto(utf8Text(bytes), options) : importedDescriptorSet(set, { ...options, file });
}

const utf8Text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

async function bytesOf(file: string): Promise<Uint8Array | Problem> {
  try {
    const bytes = await readFile(file);
    return bytes.length > MAX_BYTES ? { problem: `is larger than ${MAX_BYTES} bytes` } : bytes;
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException;
    return { problem: `cannot be read: ${code}` };
  }
}

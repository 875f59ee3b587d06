import { bool, oneOf, textLike } from '../../runtime/fields.ts';
import { SEND_METHODS } from '../a2a/a2a-methods.ts';
import { familyArguments, messageArguments, toolArguments } from './catalog-arguments.ts';
import type { ArgumentSpec } from './catalog-arguments.ts';
import { CARRIES_KEYS, carriesIn } from './catalog-carries.ts';
import type { Carries } from './catalog-carries.ts';
import { isToolPin } from '../mcp/tool-pin.ts';
import { actionFields, actionHead, otherArgumentsIn, takesOthersIn } from './catalog-head.ts';
import type { ActionHead, Defaults } from './catalog-head.ts';
import { DENIAL_STYLES, type DenialStyle } from '../denial-style.ts';
import { pathTemplateFrom } from './template.ts';
import type { PathTemplate } from './template.ts';
import { entriesOf, yamlFields, itemsOf, leafOf, placedOf, valueOf } from './yaml-file.ts';
import type { Placed, PlacedNode, YamlFile } from './yaml-file.ts';

/** An action entry with its arguments. */
export interface MessageEntry extends ActionHead {
  /** Name of the tool or method on the wire. */
  readonly name: Placed<string>;
  readonly args: readonly ArgumentSpec[];
  /** Whether it takes arguments besides `args`. */
  readonly takesOthers: boolean;
  /** The digest of the tool's definition that was reviewed; absent or `null` without one. */
  readonly pin?: string | null;
  /** Whether `otherArguments: deny` is written. */
  readonly deniesOthers?: boolean;
  /** What its calls carry beside their arguments; absent for nothing. */
  readonly carries?: Carries;
}

/** The `mcp` section of a server. */
export interface McpEntry {
  readonly path: Placed<PathTemplate>;
  /** The implicit action that opens, keeps and lists sessions. */
  readonly session: MessageEntry;
  readonly tools: readonly MessageEntry[];
  readonly resources: MessageEntry | null;
  readonly prompts: MessageEntry | null;
  readonly roots: MessageEntry | null;
  readonly other: MessageEntry | null;
  /** Keys of `_meta` that any of its calls may have. */
  readonly meta: ReadonlySet<string>;
  /** Keys that the query of its URL may have. */
  readonly query: ReadonlySet<string>;
  /** Whether lists of tools say the limits of a task. Default false. */
  readonly describesLimits: boolean;
  /** Default `result`. */
  readonly denials: DenialStyle;
}

/** The `a2a` section of a server. */
export interface A2aEntry {
  readonly path: Placed<PathTemplate>;
  /** The action of every method that sends a message; `null` if the entry has none. */
  readonly send: MessageEntry | null;
  readonly methods: readonly MessageEntry[];
  /** Default `error`. */
  readonly denials: Exclude<DenialStyle, 'result' | 'text'>;
}

const MAX_NAME_LENGTH = 256;

/** Reads the `mcp` section of a server. */
export function mcpEntry(
  yaml: YamlFile,
  node: PlacedNode,
  server: { readonly id: string; readonly defaults: Defaults },
): McpEntry | null {
  const { defaults } = server;
  const fields = yamlFields(yaml, node, {
    what: '`mcp`',
    required: ['path'],
    optional: ['tools', 'resources', 'prompts', 'roots', 'other', 'meta', 'query', 'describeLimits', 'denials'],
  });
  const path = fixedPath(yaml, fields.get('path'));
  const tools = messages(yaml, fields.get('tools'), { what: 'a tool', all: '`tools`', entryOf: toolEntry, defaults });
  const one = (key: 'resources' | 'prompts' | 'roots' | 'other', entryOf: FamilyReader): MessageEntry | null => {
    const value = fields.get(key);
    return value === undefined ? null : entryOf(yaml, { key, value }, defaults);
  };
  const resources = one('resources', familyWith('uri'));
  const prompts = one('prompts', familyWith('name'));
  const roots = one('roots', fixedEntry([ROOTS]));
  const other = one('other', fixedEntry([]));
  const meta = namesIn(yaml, fields.get('meta'), '`meta`');
  const query = namesIn(yaml, fields.get('query'), '`query`');
  const limits = leafOf(yaml, fields.get('describeLimits'), { what: '`describeLimits`', reader: bool });
  const denials = denialsOf(yaml, fields.get('denials'), {
    words: DENIAL_STYLES,
    otherwise: 'result',
  });
  if (path === null) return null;
  const { offset } = path;
  const session: MessageEntry = {
    ...defaults,
    id: { value: `${server.id}.mcp.session`, offset },
    name: { value: 'session', offset },
    risk: 'low',
    args: [],
    takesOthers: true,
  };
  const describesLimits = limits === true;
  return { path, session, tools, resources, prompts, roots, other, meta, query, describesLimits, denials };
}

/** Reads how denied calls are answered; `otherwise` if the file does not say or is wrong. */
function denialsOf<Word extends string>(
  yaml: YamlFile,
  node: PlacedNode | undefined,
  { words, otherwise }: { readonly words: readonly Word[]; readonly otherwise: Word },
): Word {
  return node === undefined
    ? otherwise
    : (valueOf(yaml, node, { what: '`denials`', reader: oneOf(words) }) ?? otherwise);
}

const MAX_NAMES = 64;
const someName = textLike(
  `printable ASCII, at most ${MAX_NAME_LENGTH} characters`,
  (name) => /^[\x21-\x7e]+$/.test(name),
  {
    max: MAX_NAME_LENGTH,
  },
);

/** The names in a list. */
function namesIn(yaml: YamlFile, node: PlacedNode | undefined, what: string): ReadonlySet<string> {
  if (node === undefined) return new Set();
  const items = itemsOf(yaml, node, what);
  if (items.length > MAX_NAMES) yaml.report(node.offset, `${what} has at most ${MAX_NAMES} names`);
  return new Set(items.flatMap((item) => valueOf(yaml, item, { what: `a name of ${what}`, reader: someName }) ?? []));
}

type FamilyReader = (
  yaml: YamlFile,
  family: { readonly key: string; readonly value: PlacedNode },
  defaults: Defaults,
) => MessageEntry | null;

/** Prompts or resources: each argument of a prompt or template is named, or `otherArguments: ignore` lets all pass. */
const familyWith =
  (own: string): FamilyReader =>
  (yaml, { key, value }, defaults) => {
    const fields = actionFields(yaml, value, `\`${key}\``, CARRIES_KEYS);
    const head = actionHead(yaml, fields, defaults);
    const { carries, args } = carriesIn(yaml, fields, familyArguments(yaml, fields.get('args'), own));
    const others = otherArgumentsIn(yaml, fields.get('otherArguments'));
    const name = { value: key, offset: value.offset };
    if (head === null) return null;
    return { ...head, name, args, carries, takesOthers: others === 'ignore', deniesOthers: others === 'deny' };
  };

/** The folders of the client, which the server asks for outside of any call. */
const ROOTS: ArgumentSpec = { name: 'roots', from: 'body', pointer: ['roots'], type: 'strings', required: false };

const fixedEntry =
  (args: readonly ArgumentSpec[]): FamilyReader =>
  (yaml, { key, value }, defaults) => {
    const fields = actionFields(yaml, value, `\`${key}\``);
    const written = fields.get('args');
    if (written !== undefined) yaml.report(written.offset, `the arguments of \`${key}\` are fixed: remove \`args\``);
    const others = fields.get('otherArguments');
    if (others !== undefined)
      yaml.report(others.offset, `the arguments of \`${key}\` are fixed: remove \`otherArguments\``);
    const head = actionHead(yaml, fields, defaults);
    return head === null ? null : { ...head, name: { value: key, offset: value.offset }, args, takesOthers: true };
  };

const toolEntry: EntryReader = (yaml, node, { what, defaults }) => {
  const fields = actionFields(yaml, node, what, [...CARRIES_KEYS, 'pin']);
  const head = actionHead(yaml, fields, defaults);
  const pin = valueOf(yaml, fields.get('pin'), { what: 'the pin', reader: toolPinText });
  const { carries, args } = carriesIn(yaml, fields, toolArguments(yaml, fields.get('args')));
  const others = otherArgumentsIn(yaml, fields.get('otherArguments'));
  if (head === null) return null;
  return { ...head, args, carries, pin, takesOthers: others !== 'deny', deniesOthers: others === 'deny' };
};

const toolPinText = textLike(
  '`sha-256:` and 43 characters of base64url, as `remit policy import mcp-tools` writes it',
  isToolPin,
);

/** Reads the `a2a` section of a server. */
export function a2aEntry(yaml: YamlFile, node: PlacedNode, defaults: Defaults): A2aEntry | null {
  const fields = yamlFields(yaml, node, {
    what: '`a2a`',
    required: ['path'],
    optional: ['send', 'methods', 'denials'],
  });
  const path = fixedPath(yaml, fields.get('path'));
  const methods = messages(yaml, fields.get('methods'), {
    what: 'an A2A method',
    all: '`methods`',
    entryOf: messageEntry,
    defaults,
  });
  const written = fields.get('send');
  if (written === undefined && !fields.has('methods'))
    yaml.report(node.offset, '`a2a` has at least one of `send` and `methods`');
  if (written !== undefined) {
    for (const { name } of methods.filter((method) => SEND_METHODS.includes(method.name.value)))
      yaml.report(name.offset, `\`${name.value}\` sends a message, so it is the action of \`send\` already`);
  }
  const send = written === undefined ? null : sendEntry(yaml, written, defaults);
  const denials = denialsOf(yaml, fields.get('denials'), { words: ['error', 'http'], otherwise: 'error' });
  return path === null ? null : { path, methods, send, denials };
}

function sendEntry(yaml: YamlFile, node: PlacedNode, defaults: Defaults): MessageEntry | null {
  const entry = messageEntry(yaml, node, { what: '`send`', defaults });
  return entry === null ? null : { ...entry, name: { value: 'send', offset: node.offset } };
}

type EntryReader = (
  yaml: YamlFile,
  node: PlacedNode,
  of: { readonly what: string; readonly defaults: Defaults },
) => Omit<MessageEntry, 'name'> | null;

function messages(
  yaml: YamlFile,
  node: PlacedNode | undefined,
  of: {
    readonly what: string;
    readonly all: string;
    readonly entryOf: EntryReader;
    readonly defaults: Defaults;
  },
): readonly MessageEntry[] {
  if (node === undefined) return [];
  return entriesOf(yaml, node, of.all).flatMap(([name, value]) => {
    if (!isWireName(name.value)) {
      yaml.report(name.offset, `the name of ${of.what} must be printable, 1 to ${MAX_NAME_LENGTH} characters`);
    }
    const entry = of.entryOf(yaml, value, of);
    return entry === null ? [] : [{ ...entry, name }];
  });
}

function messageEntry(
  yaml: YamlFile,
  node: PlacedNode,
  of: { readonly what: string; readonly defaults: Defaults },
): Omit<MessageEntry, 'name'> | null {
  const fields = actionFields(yaml, node, of.what);
  const head = actionHead(yaml, fields, of.defaults);
  const args = messageArguments(yaml, fields.get('args'));
  const takesOthers = takesOthersIn(yaml, fields.get('otherArguments'));
  return head === null ? null : { ...head, args, takesOthers };
}

const isWireName = (value: string): boolean =>
  value.length <= MAX_NAME_LENGTH && /^[^\p{C}\p{Zl}\p{Zp}]+$/u.test(value);

const pathText = textLike('a path', () => true);

/** Reads a path without parameters. */
function fixedPath(yaml: YamlFile, node: PlacedNode | undefined): Placed<PathTemplate> | null {
  const text = placedOf(yaml, node, { what: 'the path', reader: pathText });
  if (text === null) return null;
  const template = pathTemplateFrom(text.value);
  const problem = 'problem' in template ? template.problem : 'it has a parameter';
  if (!('problem' in template) && template.parameters.length === 0) return { value: template, offset: text.offset };
  yaml.report(text.offset, `\`${text.value.slice(0, 100)}\` must be a path without parameters: ${problem}`);
  return null;
}

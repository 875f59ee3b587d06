import { deny, isDeny } from '../decision/decision.ts';
import type { Deny } from '../decision/decision.ts';
import type { HttpCall } from './call.ts';
import type { ArgumentSpec, Catalog, CatalogAction, CredentialKind, Risk, Server } from './catalog.ts';
import { queryValues } from './query.ts';

/** What one argument can be; never an object, so nothing the caller sends can become a Cedar entity. */
export type ArgumentValue = string | number | boolean;

/** What a call attempts: an action of the catalog with its arguments. */
export interface Action {
  readonly id: string;
  readonly risk: Risk;
  readonly server: Server;
  /** `GET /v1/payments/{id}` */
  readonly endpoint: string;
  /** What it can be called with. */
  readonly accepts: ReadonlySet<CredentialKind>;
  /** By name; exactly those the catalog declares, of the declared type, optional ones only where sent. */
  readonly args: ReadonlyMap<string, ArgumentValue>;
}

const MAX_STRING_BYTES = 4096;
const MAX_SHOWN = 200;
/** No sign on zero, no leading zeros, no exponent: one spelling for each number. */
const LONG = /^(0|-?[1-9]\d{0,15})$/;
/** In one segment of a path these could be read as more than one segment. */
const PATH_SEPARATOR = /[/\\]|^\.{1,2}$/;

/**
 * The action a call comes to. A host or route that the catalog does not name denies with `action.unknown`; arguments that
 * are missing, of another type, over 4 KiB, no well-formed Unicode, with U+0000 or with more than one reading deny with
 * `action.arguments`. Pure, never throws.
 */
export function actionFrom(call: HttpCall, catalog: Catalog): Action | Deny {
  const server = catalog.serversByHost.get(call.host);
  if (server === undefined) return deny('action.unknown', `no server of the catalog has the host ${shown(call.host)}`);
  const segments = call.segments.length === 0 ? [''] : call.segments;
  const entry = catalog.find(server, call.method, segments);
  if (entry === undefined) {
    return deny(
      'action.unknown',
      `no route of the server \`${server.id}\` matches ${shown(`${call.method} ${call.path}`)}`,
    );
  }
  const args = argumentsOf(entry, segments, call.query);
  if (isDeny(args)) return args;
  const { id, risk, accepts } = entry;
  return { id, risk, server, endpoint: `${entry.method} ${entry.template}`, accepts, args };
}

const shown = (text: string): string => `\`${text.slice(0, MAX_SHOWN).toWellFormed()}\``;

function argumentsOf(
  entry: CatalogAction,
  segments: readonly string[],
  query: string,
): ReadonlyMap<string, ArgumentValue> | Deny {
  const fromQuery = entry.args.filter((spec) => spec.from === 'query').map((spec) => spec.name);
  const values = queryValues(query, new Set(fromQuery));
  if ('problem' in values) return refused(entry, values.problem);
  const args = new Map<string, ArgumentValue>();
  for (const spec of entry.args) {
    const text = spec.from === 'path' ? segments[entry.parameters.get(spec.name) ?? -1] : values.get(spec.name);
    if (text === undefined) {
      if (spec.required) return refused(entry, `\`${spec.name}\` is missing`);
      continue;
    }
    const value = valueOf(spec, text);
    if (typeof value === 'object') return refused(entry, `\`${spec.name}\` ${value.problem}`);
    args.set(spec.name, value);
  }
  return args;
}

const refused = (entry: CatalogAction, problem: string): Deny =>
  deny('action.arguments', `arguments of \`${entry.id}\`: ${problem}`);

type Read = (text: string) => ArgumentValue | { readonly problem: string };

const readers: Readonly<Record<ArgumentSpec['type'], Read>> = {
  long: (text) =>
    LONG.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : { problem: 'is no safe integer' },
  bool: (text) =>
    text === 'true' || text === 'false' ? text === 'true' : { problem: 'is neither `true` nor `false`' },
  string: (text) => stringFrom(text),
};

function valueOf(spec: ArgumentSpec, text: string): ArgumentValue | { readonly problem: string } {
  if (spec.from === 'path' && PATH_SEPARATOR.test(text)) return { problem: 'is no single segment of a path' };
  return readers[spec.type](text);
}

function stringFrom(text: string): string | { readonly problem: string } {
  if (!text.isWellFormed()) return { problem: 'is no well-formed Unicode' };
  if (text.includes('\0')) return { problem: 'contains U+0000' };
  if (Buffer.byteLength(text) > MAX_STRING_BYTES) return { problem: `is longer than ${MAX_STRING_BYTES} bytes` };
  return text;
}

import type { PathTemplate } from '../../action/catalog/template.ts';
import { argTexts, askedArgText } from '../recorded-args.ts';
import { isAllowedUse } from './index-builder.ts';
import { argsOf, isIndexedKind, queryMembers, segmentsOf, UNEXECUTED } from './query-member.ts';
import type { QueryMember, RecordMembers } from './query-member.ts';

/** A recorded argument that is asked for. */
export interface AskedArg {
  /** `null` for any argument. */
  readonly name: string | null;
  /** As it was sent; a number or a boolean by its text. Of a list, any item has it. */
  readonly value: string;
}

/** Conditions on members that only some records have. All given conditions must match. */
export interface RecordQuery {
  /** Recorded arguments that a use must all have. */
  readonly args?: readonly AskedArg[] | undefined;
  /** A text that a use has as a recorded argument, or as a segment of its path. */
  readonly value?: string | undefined;
  /** Digest of the `jti` of a token. */
  readonly token?: string | undefined;
  /** The parent task of an intent. */
  readonly parent?: string | undefined;
  /** The agent to which a token delegates a part of its task. */
  readonly delegate?: string | undefined;
  readonly subject?: string | undefined;
  /** A policy that decided, or would have decided an observed use. */
  readonly policy?: string | undefined;
  readonly policySet?: string | undefined;
  readonly purpose?: string | undefined;
  readonly intentHash?: string | undefined;
  /** The address of a refused caller. */
  readonly refusedAddress?: string | undefined;
  /** A template that the path of a use has. */
  readonly path?: PathTemplate | undefined;
  /** Allowed uses of which no outcome says that an upstream answered. A reader of a log looks for that outcome. */
  readonly isUnexecuted?: true | undefined;
  /** Records of any of these tasks. */
  readonly tasks?: ReadonlySet<string> | undefined;
}

/** Members of a query whose text is compared as it is with the index member of that name. */
const compared = [
  'token',
  'parent',
  'delegate',
  'subject',
  'policy',
  'policySet',
  'purpose',
  'intentHash',
  'refusedAddress',
] as const;

/** Members of any filter that an index has too. */
interface CommonQuery extends RecordQuery {
  readonly decisionId?: string | undefined;
  readonly task?: string | undefined;
  readonly traceId?: string | undefined;
  readonly agent?: string | undefined;
  readonly action?: string | undefined;
  readonly reason?: string | undefined;
  readonly kind?: string | undefined;
}

/** A text of a member of an index. */
export type IndexKey = readonly [member: QueryMember, text: string];

/** Most tasks that are looked up in an index. More tasks do not use the index. */
const MAX_LOOKED_UP = 1_024;

/** The index keys of matching records, which have at least one key of each list. Empty if an index does not help. */
export function indexKeysFor(query: CommonQuery): readonly (readonly IndexKey[])[] {
  const { args = [], value, path, isUnexecuted, tasks, kind } = query;
  const common = ['decisionId', 'task', 'traceId', 'agent', 'action', 'reason', ...compared] as const;
  const single = common.flatMap((member): IndexKey[] => {
    const text = query[member];
    return text === undefined ? [] : [[member, text]];
  });
  const literals = (path?.segments ?? []).flatMap((segment): IndexKey[] =>
    'literal' in segment && segment.literal !== '' ? [['segment', segment.literal]] : [],
  );
  const all: IndexKey[] = [
    ...args.map(({ value: text }): IndexKey => ['arg', askedArgText(text)]),
    ...single,
    ...literals,
    ...(kind !== undefined && isIndexedKind(kind) ? [['kind', kind] satisfies IndexKey] : []),
    ...(isUnexecuted === undefined ? [] : [['fate', UNEXECUTED] satisfies IndexKey]),
  ];
  return [
    ...all.map((key) => [key]),
    ...(value === undefined ? [] : [valueKeys(value)]),
    ...(tasks === undefined || tasks.size > MAX_LOOKED_UP ? [] : [[...tasks].map((task): IndexKey => ['task', task])]),
  ];
}

const valueKeys = (value: string): readonly IndexKey[] => [
  ['arg', askedArgText(value)],
  ['segment', value],
];

/** A text that JSON writes without escapes. */
const PLAIN = /^[ !#-[\]-~]+$/;

/**
 * A text that the bytes of each matching record contain; with `orPercent` that text or a `%`, since a path may be
 * percent-encoded.
 */
export interface Needle {
  readonly text: string;
  readonly orPercent: boolean;
}

/**
 * The needles of matching records: searching bytes costs a tenth of parsing a record. The kind is a needle only beside others:
 * the hash of a policy set is in every use under that set, and few records with it are of kind `policy`. A search by kind alone
 * has no needle, so that it finds damaged records too.
 */
export function needlesOf(query: RecordQuery & Pick<CommonQuery, 'kind'>): readonly Needle[] {
  const { args = [], value, path, kind } = query;
  const texts = [
    ...compared.flatMap((name) => query[name] ?? []),
    ...args.map((arg) => argNeedle(arg.value)),
    ...(path?.segments ?? []).flatMap((segment) => ('literal' in segment ? [segment.literal] : [])),
  ].map((text) => ({ text, orPercent: false }));
  const long = value !== undefined && askedArgText(value) !== value;
  const wanted = value === undefined || long ? texts : [...texts, { text: value, orPercent: true }];
  const needles = wanted.filter(({ text }) => PLAIN.test(text));
  if (kind === undefined || needles.length === 0 || !PLAIN.test(kind)) return needles;
  return [...needles, { text: `"kind":"${kind}"`, orPercent: false }];
}

/** The same for all members of a filter, for a search that never returns a damaged record. */
export const allNeedlesOf = (query: CommonQuery): readonly Needle[] => [
  ...needlesOf(query),
  ...(['decisionId', 'task', 'traceId', 'agent', 'action'] as const)
    .flatMap((name) => query[name] ?? [])
    .filter((text) => PLAIN.test(text))
    .map((text) => ({ text, orPercent: false })),
];

/** Whether bytes contain all needles. */
export function hasNeedles({ buffer, byteOffset, length }: Uint8Array, needles: readonly Needle[]): boolean {
  const bytes = Buffer.from(buffer, byteOffset, length);
  return needles.every(({ text, orPercent }) => bytes.includes(text) || (orPercent && bytes.includes('%')));
}

const argNeedle = (value: string): string => {
  const text = askedArgText(value);
  return text === value ? text : text.slice('sha-256:'.length);
};

/** Whether a query asks for anything. */
export const isQuery = (query: RecordQuery): boolean =>
  [...compared, 'args', 'value', 'path', 'isUnexecuted', 'tasks'].some(
    (name) => query[name as keyof RecordQuery] !== undefined,
  );

/** Whether a record meets all conditions; of `isUnexecuted` only that it is an allowed use. */
export function hasAsked(record: RecordMembers, query: RecordQuery): boolean {
  const { args = [], value, path, isUnexecuted, tasks } = query;
  return (
    compared.every((name) => {
      const text = query[name];
      return text === undefined || queryMembers[name](record).includes(text);
    }) &&
    args.every((arg) => hasArg(record, arg)) &&
    (value === undefined || valueKeys(value).some(([name, text]) => queryMembers[name](record).includes(text))) &&
    (path === undefined || hasPath(record, path)) &&
    (isUnexecuted === undefined || isAllowedUse(record)) &&
    (tasks === undefined || (typeof record['task'] === 'string' && tasks.has(record['task'])))
  );
}

function hasArg(record: RecordMembers, { name, value }: AskedArg): boolean {
  const args = argsOf(record);
  const values = name === null ? Object.values(args) : Object.hasOwn(args, name) ? [args[name]] : [];
  return values.flatMap(argTexts).includes(askedArgText(value));
}

function hasPath(record: RecordMembers, { segments }: PathTemplate): boolean {
  const own = segmentsOf(record);
  return (
    own.length === segments.length &&
    segments.every((segment, index) => {
      const text = own[index] ?? '';
      return 'literal' in segment ? segment.literal === text : segment.type.accepts(decoded(text));
    })
  );
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

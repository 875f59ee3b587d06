/** What records are found by: the members that an index of records has, and the texts of each in a record. */
import { argTexts } from '../recorded-args.ts';

/** A parsed record of any version. */
export type RecordMembers = Readonly<Record<string, unknown>>;

type TextsOf = (record: RecordMembers) => readonly string[];

const NONE: readonly string[] = [];

/** Most segments of a path that are looked at: as many as a path template has. */
export const MAX_SEGMENTS = 32;

const member =
  (name: string): TextsOf =>
  (record) =>
    textIn(record[name]);

const textIn = (value: unknown): readonly string[] => (typeof value === 'string' ? [value] : NONE);

const membersIn = (value: unknown): RecordMembers =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? // Safe: an object of parsed JSON.
      (value as RecordMembers)
    : NO_MEMBERS;

const NO_MEMBERS: RecordMembers = Object.freeze({});

const textsIn = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((each) => typeof each === 'string') : NONE;

/** The segments of the path of a call, as they were sent. */
export const segmentsOf = ({ kind, path }: RecordMembers): readonly string[] =>
  kind === 'use' && typeof path === 'string' ? path.slice(1).split('/', MAX_SEGMENTS) : NONE;

/** Kinds of which there are too many for an index to help. */
const COMMON_KINDS: ReadonlySet<unknown> = new Set(['use', 'outcome', 'settled']);

/**
 * The members by which records are found, with their texts in a record. INVARIANT: an index stores their positions and is rebuilt
 * to verify it, so no entry moves or changes its meaning without a new version of the index.
 */
export const queryMembers = {
  decisionId: member('decisionId'),
  task: member('task'),
  traceId: member('traceId'),
  agent: member('agent'),
  action: member('action'),
  /** The recorded arguments of a use, whatever their names. */
  arg: ({ args }) => Object.values(membersIn(args)).flatMap(argTexts),
  /** The segments of the path of a use, percent-decoded too. */
  segment: (record) => segmentsOf(record).flatMap(withDecoded),
  /** Digest of the `jti`, also of an event of a token. */
  token: ({ jtiDigest, details }) => {
    const { jtiDigest: revoked, jti_digest: violating } = membersIn(details);
    return [jtiDigest, revoked, violating].flatMap(textIn);
  },
  parent: member('parent'),
  delegate: member('delegate'),
  subject: member('subject'),
  /** Policies that decided, or would have. */
  policy: ({ policyIds, would }) => [...textsIn(policyIds), ...textsIn(membersIn(would)['policyIds'])],
  policySet: member('policySet'),
  purpose: member('purpose'),
  intentHash: member('intentHash'),
  refusedAddress: ({ refusedCaller }) => textIn(membersIn(refusedCaller)['address']),
  reason: ({ reason, error, finding }) => [...textIn(reason), ...textIn(error), ...textIn(finding)],
  kind: ({ kind }) => (COMMON_KINDS.has(kind) ? NONE : textIn(kind)),
  /** Filled by the index builder: `UNEXECUTED` for an allowed use without an outcome `executed` in the same part of the index. */
  fate: () => NONE,
} as const satisfies Readonly<Record<string, TextsOf>>;

/** A member by which records are found. */
export type QueryMember = keyof typeof queryMembers;

/** The only text of the member `fate`. */
export const UNEXECUTED = 'unexecuted';

/** Whether an index tells records of a kind from others. */
export const isIndexedKind = (kind: string): boolean => !COMMON_KINDS.has(kind);

/** The recorded arguments of a use, by name. */
export const argsOf = ({ args }: RecordMembers): RecordMembers => membersIn(args);

function withDecoded(segment: string): readonly string[] {
  if (segment === '') return NONE;
  if (!segment.includes('%')) return [segment];
  try {
    return [segment, decodeURIComponent(segment)];
  } catch {
    return [segment];
  }
}

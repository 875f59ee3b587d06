import { JSON_KINDS, SHAPE_PROTOCOLS } from '../action/call-shape.ts';
import type { CallShape, JsonKind, MemberKinds } from '../action/call-shape.ts';
import { reasons } from '../decision/reasons.ts';
import type { ReasonCode } from '../decision/reasons.ts';
import { isProblem, type Problem } from '../runtime/problem.ts';
import { integer, listOf, mapOf, members, oneOf, optional, orNull, type Reader, text } from '../runtime/fields.ts';
import { REUSE_CLASSES } from '../token/reuse.ts';
import type { JsonValue } from './canonical-json.ts';
import { leafFrom } from './proof/leaf.ts';
import { MAX_RECORD_BYTES } from './encoded-record.ts';
import type { RecordedLimit, UseRecord } from './record.ts';

/** A use with its record number. */
export type PlacedUse = UseRecord & { readonly seq: number };

/**
 * Parses the use in a leaf, which another version may have written and anyone may have damaged. `other` if the record is of another kind.
 */
export function recordedUseFrom(bytes: Uint8Array): PlacedUse | 'other' | Problem {
  const leaf = leafFrom(bytes);
  if (isProblem(leaf)) return { problem: `the record ${leaf.problem}` };
  const { record, seq } = leaf;
  if (record['kind'] !== 'use') return 'other';
  const use = useFrom(record);
  return isProblem(use) ? { problem: `the record ${use.problem}` } : { ...use, seq };
}

/** Parses the members of a record of kind `use`. Others are ignored. */
export function useFrom(record: { readonly [name: string]: JsonValue }): UseRecord | Problem {
  const use = useMembers(record);
  if (isProblem(use)) return use;
  const { usedElsewhere, withdraws, mode, entry, would, shape, args, carried, limits, origin, by, ...rest } = use;
  return {
    kind: 'use',
    ...rest,
    ...(usedElsewhere === null ? {} : { usedElsewhere }),
    ...(withdraws === null ? {} : { withdraws }),
    ...(mode === null ? {} : { mode }),
    ...(entry === null ? {} : { entry }),
    ...(would === null ? {} : { would }),
    ...(shape === null ? {} : { shape: shapeOf(shape) }),
    ...(args === null ? {} : { args }),
    ...(carried === null ? {} : { carried }),
    ...(limits === null ? {} : { limits: limits.map(limitOf) }),
    ...(origin === null ? {} : { origin }),
    ...(by === null ? {} : { by }),
  };
}

const words = text({ min: 0, max: MAX_RECORD_BYTES });

const reason: Reader<ReasonCode> = (value) =>
  typeof value === 'string' && Object.hasOwn(reasons, value)
    ? // Safe: checked to be in the table.
      (value as ReasonCode)
    : { problem: 'must be a reason code' };

const refusedCaller = members({ address: orNull(words), id: words }, { others: 'ignored' });

const recordedArguments: Reader<NonNullable<UseRecord['args']>> = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? // Safe: part of a parsed JSON value.
      (value as NonNullable<UseRecord['args']>)
    : { problem: 'must be an object' };

const policyIds = listOf(words, { min: 0, max: MAX_RECORD_BYTES });

const would = members(
  { decision: oneOf(['allow', 'deny']), reason: orNull(reason), detail: orNull(words), policyIds },
  { others: 'ignored' },
);

/** Most names that a reader takes; a record has at most 64. */
const MAX_NAMES = 1_024;

const kind = oneOf(JSON_KINDS);
const kindsBelow = mapOf(kind, { max: MAX_NAMES });
const kinds = mapOf((value) => (typeof value === 'string' ? kind(value) : kindsBelow(value)), { max: MAX_NAMES });

const shape = members(
  {
    protocol: oneOf(SHAPE_PROTOCOLS),
    query: listOf(words, { min: 0, max: MAX_NAMES }),
    rpc: optional(members({ method: words, tool: orNull(words) }, { others: 'ignored' })),
    members: optional(kinds),
    cut: optional((value): true | Problem => (value === true ? value : { problem: 'must be `true`' })),
  },
  { others: 'ignored' },
);

type ReadShape = Exclude<ReturnType<typeof shape>, Problem>;

const shapeOf = ({ protocol, query, rpc, members: named, cut }: ReadShape): CallShape => ({
  ...(cut === null ? {} : { cut: true }),
  ...(named === null ? {} : { members: Object.fromEntries(Array.from(named, ([name, of]) => [name, kindsIn(of)])) }),
  protocol,
  query,
  ...(rpc === null ? {} : { rpc }),
});

const kindsIn = (of: JsonKind | ReadonlyMap<string, JsonKind>): MemberKinds[string] =>
  typeof of === 'string' ? of : Object.fromEntries(of);

const quantity: Reader<number> = (value) =>
  typeof value === 'number' && value >= 0 ? value : { problem: 'must be a number of 0 or more' };

/** Earlier versions did not record `counts` and `share`. */
const limit = members(
  { id: words, counts: optional(words), left: optional(quantity), share: optional(quantity) },
  { others: 'ignored' },
);

const limitOf = ({ id, counts, left, share }: Exclude<ReturnType<typeof limit>, Problem>): RecordedLimit => ({
  id,
  ...(counts === null ? {} : { counts }),
  ...(left === null ? {} : { left }),
  ...(share === null ? {} : { share }),
});

const useMembers = members(
  {
    // The range of `Date`.
    at: integer(0, 8.64e15),
    decisionId: words,
    usedElsewhere: optional(members({ spanId: words, traceId: words }, { others: 'ignored' })),
    withdraws: optional(words),
    mode: optional(oneOf(['observe'])),
    entry: optional(words),
    would: optional(would),
    shape: optional(shape),
    limits: optional(listOf(limit, { min: 0, max: MAX_NAMES })),
    // Absent in records of earlier versions.
    detail: optional(orNull(words)),
    task: orNull(words),
    agent: orNull(words),
    // Absent in records of earlier versions.
    refusedCaller: optional(orNull(refusedCaller)),
    credential: orNull(words),
    action: orNull(words),
    args: optional(recordedArguments),
    carried: optional(recordedArguments),
    decision: oneOf(['allow', 'deny']),
    reason: orNull(reason),
    policyIds,
    policySet: orNull(words),
    // Absent in records of earlier versions.
    policyGeneration: optional(orNull(integer(0, Number.MAX_SAFE_INTEGER))),
    tokenUse: orNull(integer(1, Number.MAX_SAFE_INTEGER)),
    reuse: listOf(oneOf(REUSE_CLASSES), { min: 0, max: REUSE_CLASSES.length }),
    jtiDigest: orNull(words),
    host: words,
    method: words,
    path: words,
    traceId: words,
    spanId: words,
    origin: optional(words),
    by: optional(words),
  },
  { others: 'ignored' },
);

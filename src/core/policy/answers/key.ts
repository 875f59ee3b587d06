import { hash } from 'node:crypto';
import { encoded, encodedText } from './encoding.ts';
import type { EntityUid } from '../entities.ts';
import { cedarInstantFrom, scaledDecimalFrom } from './literals.ts';
import { contextPlan, isRecord, partOf } from './plan.ts';
import type { Contextual, Plan } from './plan.ts';
import type { BoundKind, Reads } from './reads.ts';
import { member, scopeUid } from './scope.ts';

/** What a question is keyed by, besides the policies evaluated. */
export interface Keyed extends Contextual {
  readonly principal: EntityUid;
  readonly action: EntityUid;
  readonly resource: EntityUid;
  /** Keys of an entity and all its ancestors, for this question. */
  readonly lineageOf: (uid: EntityUid) => Iterable<string>;
  /** The memoised `lineageText` of the same. */
  readonly lineageTextOf?: (uid: EntityUid) => string;
  /** Memoises the part of a key that depends on the names only. */
  readonly prefix?: (part: SlicePart, make: () => string) => string;
}

/** Which policies of a slice are evaluated: all, or only the steady policies, whose answer is mostly known. */
export type SlicePart = 'whole' | 'steady';

/** The key of a question, and until when its answer is valid by the time literals that its policies compare the clock with. */
export interface DecisionKey {
  readonly key: string;
  /** Milliseconds since the Unix epoch; `Infinity` if no such time lies ahead. */
  readonly untilMs: number;
}

/** Computes the key of a question to one slice; `null` for a question whose text is not unique. */
export type KeyOf = (question: Keyed) => DecisionKey | null;

/**
 * The key function of a slice, from what its policies read. Questions with equal keys have equal answers. A key consists of the
 * generation (policies, schema and entities), the slice or its part, the names of principal, action and resource, their ancestors if
 * read, and the parts of the context that are read. A value that is absent or of an unexpected type is encoded
 * differently from every value. The text is hashed, so that keys are short and callers cannot choose where they fall.
 */
export function keyFunction(
  reads: Reads,
  {
    generation,
    slice,
    part = 'whole',
  }: { readonly generation: string; readonly slice: string; readonly part?: SlicePart },
): KeyOf {
  const prefix = encodedText(generation) + encodedText(slice) + encodedText(part);
  const variables = (['principal', 'action', 'resource'] as const).map(
    (name) => [name, reads.everything || reads.roots.get(name)?.ancestors === true] as const,
  );
  const plan = contextPlan(reads);
  const clock = plan.attrs.find(([name]) => name === 'now')?.[1].bounds.get('datetime') ?? [];
  // A digest replaces the part that all questions with the same names share, which is most of a key.
  const namesDigest = (question: Keyed): string => {
    let written = prefix;
    for (const [name, isLineageRead] of variables) {
      const uid = question[name];
      written += encodedText(uid.type) + encodedText(uid.id) + (isLineageRead ? lineage(question, uid) : '');
    }
    return written.isWellFormed() ? hash('sha256', written, 'base64url') : UNWRITABLE;
  };
  return (question) => {
    const make = (): string => namesDigest(question);
    const names = question.prefix === undefined ? make() : question.prefix(part, make);
    const written = names + contextText(question, plan);
    // A lone surrogate would be hashed as the replacement character, like others.
    if (!written.isWellFormed()) return null;
    const now = clock.length === 0 ? null : valueOfKind('datetime', partOf(question, 'now'));
    const untilMs = now === null ? Infinity : (clock.find((bound) => bound > now) ?? Infinity);
    return { key: hash('sha256', written, 'base64url'), untilMs };
  };
}

/** Marks names whose text is not unique; a key that contains it is not used. */
const UNWRITABLE = '\ud800';

const ABSENT = 'a';
const PRESENT = 'p';
const ONLY_PARTS = 'o';

/** The same text whether or not the members can be read separately. */
function contextText(question: Keyed, plan: Plan): string {
  if (question.part === undefined || plan.whole) return valueText(question, question.context, plan);
  if (plan.attrs.length === 0) return PRESENT;
  let written = ONLY_PARTS;
  for (const [name, child] of plan.attrs) written += valueText(question, partOf(question, name), child);
  return written;
}

function valueText(question: Keyed, value: unknown, plan: Plan): string {
  if (value === undefined) return ABSENT;
  const uid = scopeUid(value);
  // An entity is its name: what is stored about entities belongs to the generation.
  if (uid !== null) return encoded(value) + (plan.ancestors ? lineage(question, uid) : '');
  if (plan.whole) return encoded(value);
  if (plan.attrs.length > 0 && isRecord(value)) {
    let written = ONLY_PARTS;
    for (const [name, child] of plan.attrs) written += valueText(question, member(value, name), child);
    return written;
  }
  for (const [kind, bounds] of plan.bounds) {
    const size = valueOfKind(kind, value);
    if (size !== null) return `b${kind}:${sideOf(size, bounds)};`;
  }
  return plan.attrs.length === 0 && plan.bounds.size === 0 ? PRESENT : encoded(value);
}

const lineage = (question: Keyed, uid: EntityUid): string =>
  question.lineageTextOf?.(uid) ?? lineageText(question.lineageOf(uid));

/** The ancestors of an entity, as encoded in a key. */
export function lineageText(lineage: Iterable<string>): string {
  const keys = [...lineage].sort();
  return `l${keys.length}:${keys.map(encodedText).join('')}`;
}

/** The position of a value among ascending bounds: twice the number of smaller bounds, plus 1 if it equals a bound. */
function sideOf(size: number, bounds: readonly number[]): number {
  const below = bounds.filter((bound) => bound < size).length;
  return 2 * below + (bounds[below] === size ? 1 : 0);
}

/** The size of a literal value of a kind; `null` for every other value. */
function valueOfKind(kind: BoundKind, value: unknown): number | null {
  if (kind === 'long') return Number.isSafeInteger(value) ? Number(value) : null;
  const call = member(value, '__extn');
  if (member(call, 'fn') !== kind) return null;
  const argument = member(call, 'arg');
  return kind === 'datetime' ? cedarInstantFrom(argument) : scaledDecimalFrom(argument);
}

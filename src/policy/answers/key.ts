import { hash } from 'node:crypto';
import { encoded, encodedText } from './encoding.ts';
import type { EntityUid } from '../entities.ts';
import { cedarInstantFrom, scaledDecimalFrom } from './literals.ts';
import { contextPlan, isRecord, partOf } from './plan.ts';
import type { Contextual, Plan } from './plan.ts';
import type { BoundKind, Reads } from './reads.ts';
import { member, scopeUid } from './scope.ts';

/** What a question is keyed by, besides the policies that are asked. */
export interface Keyed extends Contextual {
  readonly principal: EntityUid;
  readonly action: EntityUid;
  readonly resource: EntityUid;
  /** Keys of an entity and of everything it is in, for this question. */
  readonly lineageOf: (uid: EntityUid) => Iterable<string>;
  /** `lineageText` of the same, where that is kept. */
  readonly lineageTextOf?: (uid: EntityUid) => string;
  /** What of a key follows from the names alone, made where it is not kept. */
  readonly prefix?: (part: SlicePart, make: () => string) => string;
}

/** Which policies of a slice are asked: all of them, or those alone whose answer is mostly known. */
export type SlicePart = 'whole' | 'steady';

/** The key of a question, and how long its answer holds by the literal times that its policies compare the clock with. */
export interface DecisionKey {
  readonly key: string;
  /** Milliseconds since the Unix epoch; `Infinity` where no such time is to come. */
  readonly untilMs: number;
}

/** Makes the keys of the questions to one slice; `null` for one that cannot be told from another by its text. */
export type KeyOf = (question: Keyed) => DecisionKey | null;

/**
 * The key function of a slice whose policies have these reads. Two questions with equal keys have the same answer: the key holds
 * the generation (which stands for policies, schema and all that is written of entities), the slice or the part of it, the names of principal,
 * action and resource, what they are in where that is asked, and of the context what is read. That a value is absent, or of
 * another type than it is used as, is written differently from every value. The text is hashed, so that keys are short and no
 * caller chooses where they fall.
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
  // A digest in the place of what all questions with the same names have in common, which is most of a key.
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
    // A lone surrogate would be hashed as the character that stands for what cannot be read.
    if (!written.isWellFormed()) return null;
    const now = clock.length === 0 ? null : valueOfKind('datetime', partOf(question, 'now'));
    const untilMs = now === null ? Infinity : (clock.find((bound) => bound > now) ?? Infinity);
    return { key: hash('sha256', written, 'base64url'), untilMs };
  };
}

/** Where names cannot be told from others by their text, no question with them can. */
const UNWRITABLE = '\ud800';

const ABSENT = 'a';
const PRESENT = 'p';
const ONLY_PARTS = 'o';

/** The same text whether the members come one by one or not. */
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
  // Of an entity the name says everything, since what is written of entities is of the generation.
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

/** What an entity is in, as it stands in a key. */
export function lineageText(lineage: Iterable<string>): string {
  const keys = [...lineage].sort();
  return `l${keys.length}:${keys.map(encodedText).join('')}`;
}

/** Twice the number of bounds below, and one more where it is a bound. */
function sideOf(size: number, bounds: readonly number[]): number {
  const below = bounds.filter((bound) => bound < size).length;
  return 2 * below + (bounds[below] === size ? 1 : 0);
}

/** The size of a value that is of a kind and written out as such; `null` for every other value. */
function valueOfKind(kind: BoundKind, value: unknown): number | null {
  if (kind === 'long') return Number.isSafeInteger(value) ? Number(value) : null;
  const call = member(value, '__extn');
  if (member(call, 'fn') !== kind) return null;
  const argument = member(call, 'arg');
  return kind === 'datetime' ? cedarInstantFrom(argument) : scaledDecimalFrom(argument);
}

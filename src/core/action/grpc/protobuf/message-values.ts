import type { ReasonCode } from '../../../decision/reasons.ts';
import { isProblem } from '../../../runtime/problem.ts';
import { argumentFromJson, MAX_STRINGS } from '../../arguments/argument.ts';
import type { ArgumentValue } from '../../arguments/argument.ts';
import { otherArgument, unfitArgument } from '../../arguments/argument-refusal.ts';
import type { ArgumentRefusal } from '../../arguments/argument-refusal.ts';
import type { FieldShape, MessageShape, WantedValue } from './message-shape.ts';
import { strayProblem } from './scalar.ts';
import type { Scalar } from './scalar.ts';
import { eachField } from '../../../protobuf/fields.ts';
import type { ByteRange } from '../../../protobuf/reader.ts';
import type { WireField } from '../../../protobuf/fields.ts';

/** Why arguments cannot be read from a message; `problem` is a clause whose subject is the message. */
export interface MessageRefusal extends ArgumentRefusal {
  readonly reason: ReasonCode;
}

/** Most fields of a message, including nested fields. */
export const MAX_FIELDS = 8192;
/** Deepest nesting of messages; decoders have the same limit. */
export const MAX_MESSAGE_DEPTH = 100;

/**
 * Reads arguments from a protobuf message. Scans the whole message by its descriptor set and refuses what decoders read
 * differently: a known field with another wire type, and a number with more bits than its type has; on the path to an argument
 * also a repeated singular field and two members of a oneof. An unknown field is skipped by its length, unless it could be a newer member
 * of an argument's oneof. If the action is closed (`otherArguments: deny`), a field that is not an argument is
 * refused. An absent field with implicit presence has its default value; a field with explicit presence, and everything in an absent
 * message, is absent. Linear time; never throws.
 */
export function messageValues(
  bytes: Uint8Array,
  shape: MessageShape,
): ReadonlyMap<string, ArgumentValue> | MessageRefusal {
  const reading: Reading = { bytes, left: MAX_FIELDS, depth: 0, values: new Map(), refusal: null };
  return readMessage(reading, { from: 0, to: bytes.length }, shape) ?? reading.values;
}

interface Reading {
  readonly bytes: Uint8Array;
  left: number;
  depth: number;
  readonly values: Map<string, ArgumentValue>;
  /** The first refusal, which ends reading. */
  refusal: MessageRefusal | null;
}

/** What was found in one message. All messages without arguments share one value, since they add nothing to it. */
interface Met {
  readonly fields: Set<FieldShape>;
  readonly oneofs: Set<number>;
  readonly lists: Map<WantedValue, string[]>;
}

const newMet = (): Met => ({ fields: new Set(), oneofs: new Set(), lists: new Map() });
const nothingMet = newMet();

function readMessage(reading: Reading, range: ByteRange, shape: MessageShape): MessageRefusal | null {
  const met = shape.isWanted ? newMet() : nothingMet;
  const problem = eachField(reading.bytes, range, (field) => {
    reading.refusal ??= readField(reading, field, { shape, met });
    return reading.refusal === null ? null : reading.refusal.problem;
  });
  if (reading.refusal !== null) return reading.refusal;
  return problem === null ? closeMessage(reading, shape, met) : malformed(problem);
}

function readField(
  reading: Reading,
  field: WireField,
  { shape, met }: { readonly shape: MessageShape; readonly met: Met },
): MessageRefusal | null {
  reading.left -= 1;
  if (reading.left < 0) return { reason: 'request.too-large', problem: `has more than ${MAX_FIELDS} fields` };
  const known = shape.fields.get(field.number);
  if (!shape.takesOthers && known?.isNamed !== true) return other(known?.name ?? String(field.number));
  if (known === undefined) {
    return shape.isClosed
      ? refused(`has the field ${field.number}, which the descriptor set does not have, beside an argument in a oneof`)
      : null;
  }
  if (!known.wireTypes.has(field.wireType)) return malformed(`has the field \`${known.name}\` in another wire type`);
  if (known.oneof !== null) {
    if (met.oneofs.has(known.oneof)) return refused(`has a second member of the oneof that \`${known.name}\` is in`);
    met.oneofs.add(known.oneof);
  }
  if (known.isOnce && met.fields.has(known)) return refused(`has the field \`${known.name}\` twice`);
  if (known.isOnce) met.fields.add(known);
  if (known.inner !== null) return readInner(reading, field, known.inner());
  if (known.wanted !== null) return readWanted(reading, field, { known, wanted: known.wanted, met });
  const problem = strayProblem(field, reading.bytes, known.scalar);
  return problem === null ? null : malformed(`has the field \`${known.name}\`, which ${problem}`);
}

function readInner(reading: Reading, field: WireField, shape: MessageShape): MessageRefusal | null {
  if (reading.depth === MAX_MESSAGE_DEPTH) return malformed(`nests deeper than ${MAX_MESSAGE_DEPTH}`);
  reading.depth += 1;
  const refusal = readMessage(reading, field, shape);
  reading.depth -= 1;
  return refusal;
}

function readWanted(
  reading: Reading,
  field: WireField,
  { known, wanted, met }: { readonly known: FieldShape; readonly wanted: WantedValue; readonly met: Met },
): MessageRefusal | null {
  const list = met.lists.get(wanted) ?? [];
  // One item over the limit suffices for a refusal.
  if (list.length > MAX_STRINGS) return null;
  const value = valueOf(reading, field, { scalar: known.scalar, names: wanted.names });
  if (isProblem(value)) return refused(`has the field \`${known.name}\`, which ${value.problem}`);
  if (!wanted.isRepeated) return give(reading, wanted, value);
  list.push(String(value));
  met.lists.set(wanted, list);
  return null;
}

function valueOf(
  { bytes }: Reading,
  field: WireField,
  { scalar, names }: { readonly scalar: Scalar; readonly names: WantedValue['names'] },
) {
  const value = scalar.valueOf(field, bytes);
  if (names === null || typeof value !== 'number') return value;
  return names.get(value) ?? { problem: 'has a number that the enum does not name' };
}

/** Adds lists, which are complete at the end of their message, and the values of absent fields. */
function closeMessage(reading: Reading, { values }: MessageShape, { lists, fields }: Met): MessageRefusal | null {
  for (const field of values) {
    const { wanted } = field;
    if (wanted === null) continue;
    const value = lists.get(wanted) ?? (fields.has(field) ? undefined : wanted.absent);
    const refusal = value === undefined ? null : give(reading, wanted, value);
    if (refusal !== null) return refusal;
  }
  return null;
}

function give({ values }: Reading, { args }: WantedValue, given: unknown): MessageRefusal | null {
  for (const arg of args) {
    const value = argumentFromJson(arg, given);
    if (isProblem(value)) {
      const { argument } = unfitArgument(arg, value);
      return { ...refused(`has the argument \`${arg.name}\`, which ${value.problem}`), argument };
    }
    values.set(arg.name, value);
  }
  return null;
}

function other(name: string): MessageRefusal {
  const { argument } = otherArgument(name);
  return {
    ...refused(`has the field \`${name}\`, which the catalog does not name, and takes no other arguments`),
    argument,
  };
}

const malformed = (problem: string): MessageRefusal => ({ reason: 'request.malformed', problem });

const refused = (problem: string): MessageRefusal => ({ reason: 'action.arguments', problem });

import type { ReasonCode } from '../../decision/reasons.ts';
import { isProblem } from '../../runtime/problem.ts';
import { argumentFromJson, MAX_STRINGS } from '../argument.ts';
import type { ArgumentValue } from '../argument.ts';
import type { FieldShape, MessageShape, WantedValue } from './message-shape.ts';
import { strayProblem } from './scalar.ts';
import type { Scalar } from './scalar.ts';
import { eachField } from '../../protobuf/fields.ts';
import type { ByteRange } from '../../protobuf/reader.ts';
import type { WireField } from '../../protobuf/fields.ts';

/** Why a message has no arguments, as a clause without its subject, the message. */
export interface MessageRefusal {
  readonly reason: ReasonCode;
  readonly problem: string;
}

/** Fields of the message and of those in it together; more is refused. */
export const MAX_FIELDS = 8192;
/** Messages in messages; decoders stop there too. */
export const MAX_MESSAGE_DEPTH = 100;

/**
 * The arguments that stand in a protobuf message. The whole of it is read as the descriptor set has it, and what decoders read
 * in different ways is refused wherever it stands: a known field in another wire type, a number of more bits than its kind
 * has; for arguments also a singular field or a message on the way given twice, and two members of a oneof. A field that the
 * set does not have is passed over by its length, except where it could be a newer member of a oneof that an argument is in.
 * A field without presence that is absent has its default value, one with presence is absent, as is everything in a message
 * that is absent. Linear in the length; never throws.
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
  /** The first one, with which the reading ends. */
  refusal: MessageRefusal | null;
}

/** What was met of one message. A message that no argument is in or below adds nothing, so all of those share one. */
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
  // One more than there may be is enough to be refused.
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

/** Lists are whole at the end of their message, and what was not met is absent. */
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
    const value = argumentFromJson(arg.type, given);
    if (isProblem(value)) return refused(`has the argument \`${arg.name}\`, which ${value.problem}`);
    values.set(arg.name, value);
  }
  return null;
}

const malformed = (problem: string): MessageRefusal => ({ reason: 'request.malformed', problem });

const refused = (problem: string): MessageRefusal => ({ reason: 'action.arguments', problem });

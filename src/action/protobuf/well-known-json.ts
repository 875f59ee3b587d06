import type { Problem } from '../../token/members.ts';

/**
 * The members of a message from a JSON form of its own, which some messages of `google.protobuf` have: an instant, a duration, a
 * wrapped value, any JSON, a list of fields. What any other message is stays itself. A form that is none is a problem.
 */
export const plainFormOf = (name: string, value: unknown): unknown => forms.get(name)?.(value) ?? value;

type Form = (value: unknown) => unknown;

const wrapped: Form = (value) => ({ value });

const WRAPPERS = ['Double', 'Float', 'Int64', 'UInt64', 'Int32', 'UInt32', 'Bool', 'String', 'Bytes'];

const forms: ReadonlyMap<string, Form> = new Map<string, Form>([
  ['google.protobuf.Timestamp', timestamp],
  ['google.protobuf.Duration', duration],
  ['google.protobuf.FieldMask', fieldMask],
  ['google.protobuf.Struct', (value) => ({ fields: value })],
  ['google.protobuf.ListValue', (value) => ({ values: value })],
  ['google.protobuf.Value', anyValue],
  ['google.protobuf.Any', () => ({ problem: 'is a `google.protobuf.Any`: give the message as base64' })],
  ...WRAPPERS.map((kind) => [`google.protobuf.${kind}Value`, wrapped] as const),
]);

const nanosOf = (fraction = ''): number => Number(fraction.padEnd(9, '0'));

function timestamp(value: unknown): object | Problem {
  const [, instant, fraction, zone] =
    /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(String(value)) ?? [];
  const ms = instant === undefined ? Number.NaN : Date.parse(`${instant}${zone ?? 'Z'}`);
  if (Number.isNaN(ms)) return { problem: 'must be an instant such as `2026-01-15T08:00:00Z`' };
  return { seconds: String(ms / 1000), nanos: nanosOf(fraction) };
}

function duration(value: unknown): object | Problem {
  const [, sign, seconds, fraction] = /^(-?)(\d{1,12})(?:\.(\d{1,9}))?s$/.exec(String(value)) ?? [];
  if (seconds === undefined) return { problem: 'must be a duration such as `1.5s`' };
  const nanos = nanosOf(fraction);
  return sign === '-'
    ? { seconds: String(-Number(seconds)), nanos: 0 - nanos }
    : { seconds: String(Number(seconds)), nanos };
}

function fieldMask(value: unknown): object | Problem {
  if (typeof value !== 'string') return { problem: 'must be names of fields joined by commas' };
  const paths = value === '' ? [] : value.split(',');
  return { paths: paths.map((path) => path.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)) };
}

function anyValue(value: unknown): object {
  if (value === null) return { null_value: 0 };
  if (Array.isArray(value)) return { list_value: value };
  const member = MEMBERS.get(typeof value) ?? 'struct_value';
  return { [member]: value };
}

const MEMBERS: ReadonlyMap<string, string> = new Map([
  ['number', 'number_value'],
  ['boolean', 'bool_value'],
  ['string', 'string_value'],
]);

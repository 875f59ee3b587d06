import type { Code, Level } from '../../codes.ts';
import { isFalse } from '../../tree.ts';

/** What is known of one field of Envoy: a finding, or a reason why it needs none. */
export type Field =
  /** Whatever its value is, a call is checked, decided and recorded the same. */
  | { readonly kind: 'harmless'; readonly why: string }
  /** A check of its own reads it, and reports these codes. */
  | { readonly kind: 'judged'; readonly by: readonly Code[] }
  /** The fields of its message, of each of its messages, or of each value of its map, are judged. */
  | {
      readonly kind: 'inside';
      readonly message: () => Message;
      readonly isMap: boolean;
      /** What is added to the place of findings inside; empty for nothing. */
      readonly step: (value: unknown, index: number) => string;
    }
  /** An `Any`, or a name with an `Any`: types that are not in the table are findings. */
  | { readonly kind: 'extension'; readonly types: () => ReadonlyMap<string, Field>; readonly isMap: boolean }
  | { readonly kind: 'found'; readonly found: FieldFault };

/** What is wrong with a field that is set. */
export interface FieldFault {
  readonly code: Code;
  /** The level for a value, `null` if that value is harmless. `owner` is the message that has the field. */
  readonly level: (value: unknown, owner: unknown) => Level | null;
  /** What follows from it, after the name of the field. */
  readonly message: string;
  readonly fix: string;
}

/** The fields of a message of Envoy. A field that is not among them is a finding. */
export interface Message {
  /** Its full name in Envoy's API. */
  readonly proto: string;
  readonly fields: ReadonlyMap<string, Field>;
}

type Rows = Readonly<Record<string, Field>>;

/** A message by its rows. */
export const message = (proto: string, ...rows: readonly Rows[]): Message => ({
  proto,
  fields: new Map(rows.flatMap((one) => Object.entries(one))),
});

const each = (names: string, field: Field): Rows =>
  Object.fromEntries(
    names
      .split(/\s+/)
      .filter((name) => name !== '')
      .map((name) => [name, field]),
  );

/** Fields that need no finding, with the reason. */
export const harmless = (why: string, names: string): Rows => each(names, { kind: 'harmless', why });

/** Fields that a check of its own reads. */
export const judged = (by: readonly Code[], names: string): Rows => each(names, { kind: 'judged', by });

/** A field whose messages are judged by their own table, which `of` gives so that tables may name each other. */
export const inside = (
  name: string,
  of: () => Message,
  step: (value: unknown, index: number) => string = () => '',
): Rows => ({ [name]: { kind: 'inside', message: of, isMap: false, step } });

/** Fields that hold an extension, or a list of them, of one of these types. */
export const extension = (names: string, types: () => ReadonlyMap<string, Field>): Rows =>
  each(names, { kind: 'extension', types, isMap: false });

/** A field that holds extensions by name. */
export const extensionMap = (name: string, types: () => ReadonlyMap<string, Field>): Rows => ({
  [name]: { kind: 'extension', types, isMap: true },
});

/** A level for each value that is set. */
const whenSet =
  (level: Level) =>
  (value: unknown): Level | null =>
    isSet(value) ? level : null;

/** How bad a field is: always, or by its value. */
type Badness = Level | FieldFault['level'];

/** A field that is a finding. */
export const fault = (code: Code, badness: Badness, words: Pick<FieldFault, 'message' | 'fix'>): Field => ({
  kind: 'found',
  found: { code, level: typeof badness === 'function' ? badness : whenSet(badness), ...words },
});

/** Fields that are a finding. */
export const found = (names: string, code: Code, badness: Badness, words: Pick<FieldFault, 'message' | 'fix'>): Rows =>
  each(names, fault(code, badness, words));

/** Fields that this doctor knows and cannot judge. */
export const unseen = (names: string, level: Level, message: string): Rows =>
  found(names, 'envoy.unseen', level, { message, fix: 'remove it, or look at what it does to calls of agents' });

/** Whether a value is more than the default of its field. */
export const isSet = (value: unknown): boolean =>
  value !== undefined &&
  value !== null &&
  !isFalse(value) &&
  value !== '' &&
  value !== 0 &&
  value !== '0' &&
  !(Array.isArray(value) && value.length === 0);

/** Types of an extension point by full name, or by the name after `prefix`. */
export const typesOf = (prefix: string, ...rows: readonly Rows[]): ReadonlyMap<string, Field> =>
  new Map(rows.flatMap((one) => Object.entries(one).map(([name, field]) => [`${prefix}${name}`, field] as const)));

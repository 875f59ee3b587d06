/** A catalog entry to be written: plain objects, in reading order. */
export type Entry = Readonly<Record<string, unknown>>;

/** An imported server, for review. */
export interface Imported {
  /** The content below the server's id. */
  readonly server: Entry;
  /** What could not be imported, one line each. */
  readonly notes: readonly string[];
}

/** The members of an object; empty for other values. */
export const membersOf = (value: unknown): readonly (readonly [string, unknown])[] =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : [];

/** An own member of an object; `undefined` if there is none. */
export const memberOf = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined;

/** The items of a list; empty for other values. */
export const itemsIn = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** Options of an import. */
export interface ImportOptions {
  /** The id of the server. */
  readonly server: string;
  /** The prefix of action ids. */
  readonly prefix: string;
  /** Patterns of operations to import; all if empty. */
  readonly only: readonly string[];
}

/** A name made safe for a note; cut first, so that a long name costs as much as a short one. */
export const printableName = (name: string): string => name.slice(0, 200).replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, '?');

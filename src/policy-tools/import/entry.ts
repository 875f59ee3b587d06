/** A catalog entry as it will be written: plain objects, in the order a reader wants them. */
export type Entry = Readonly<Record<string, unknown>>;

/** A server made from what exists, for review. */
export interface Imported {
  /** What stands under the server's id. */
  readonly server: Entry;
  /** What could not be taken over, a line each. */
  readonly notes: readonly string[];
}

/** The members of an object; nothing for what is none. */
export const membersOf = (value: unknown): readonly (readonly [string, unknown])[] =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? Object.entries(value) : [];

/** A member of an object by its own name; `undefined` where there is none. */
export const memberOf = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined;

/** The items of a list; nothing for what is none. */
export const itemsIn = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** How entries are made. */
export interface ImportOptions {
  /** The id of the server. */
  readonly server: string;
  /** What action ids begin with. */
  readonly prefix: string;
  /** Patterns of what is taken; all of it where there are none. */
  readonly only: readonly string[];
}

/** A name in a note. */
export const shownName = (name: string): string => name.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, '?').slice(0, 200);

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

/** Gives action ids of a server, each once: the words of a name, joined by `-`, and a number where it is taken. */
export function actionIds(server: string): (name: string) => string {
  const taken = new Set<string>();
  return (name) => {
    const words = name
      .replaceAll(/[^A-Za-z0-9_]+/g, '-')
      .replaceAll(/^-+|-+$/g, '')
      .slice(0, 50);
    const base = `${server}.${words === '' ? 'action' : words}`;
    let id = base;
    for (let number = 2; taken.has(id); number++) id = `${base}-${number}`;
    taken.add(id);
    return id;
  };
}

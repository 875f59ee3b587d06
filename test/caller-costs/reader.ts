/** Gives a text of a caller to a reader. */
export type Reader = (text: string) => unknown;

/** Readers by `room/file.ts name`; several places of one by a word for each. */
export type Readers = Readonly<Record<string, Reader | Readonly<Record<string, Reader>>>>;

/** A text as many pieces of a few characters, as members, elements and headers are. */
export const pieces = (text: string): string[] => text.match(/[^]{1,16}/g) ?? [];

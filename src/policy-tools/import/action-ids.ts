import { createHash } from 'node:crypto';
import { isActionId, MAX_ID_LENGTH } from '../../action/catalog-head.ts';
import { shownName } from './entry.ts';

/** What an action id is made for. */
export interface NamedOperation {
  /** Of no two the same: `GET /orders/{id}`, the name of a tool, `package.Service/Method`. */
  readonly key: string;
  /** What its id is made of. */
  readonly name: string;
}

/**
 * The action id of each: the prefix and its name, of which what an id cannot have becomes `-`. A name that is an id keeps it. Where
 * two names come to one id, or a name to none or to a longer one than 128 characters, the id ends in eight digits of the SHA-256
 * of its key: no id is cut in a word or depends on the order of the document. Each such id is noted by its key.
 *
 * @param taken ids that none may be
 */
export function actionIds(
  named: readonly NamedOperation[],
  { prefix, taken }: { readonly prefix: string; readonly taken: readonly string[] },
): { readonly ids: ReadonlyMap<string, string>; readonly notes: ReadonlyMap<string, string> } {
  const candidates = named.map((one) => ({ ...one, id: `${prefix}${idOf(one.name)}` }));
  const byId = Map.groupBy(candidates, ({ id }) => id);
  const ids = new Map<string, string>();
  const notes = new Map<string, string>();
  for (const { key, name, id } of candidates) {
    const rivals = byId.get(id) ?? [];
    const why = problemOf({ key, name, id, prefix }, { rivals, taken });
    ids.set(key, why === null ? id : suffixed({ id, key, prefix }));
    if (why !== null) notes.set(key, `its id is \`${ids.get(key)}\`, since ${why}`);
  }
  return { ids, notes };
}

/** Letters lose their accents, as `ö` does; a letter that has no Latin one is left out. */
const idOf = (name: string): string =>
  name
    .normalize('NFKD')
    .replaceAll(/\p{M}+/gu, '')
    .replaceAll(/[^A-Za-z0-9_.]+/g, '-')
    .replaceAll(/\.{2,}/g, '.')
    .replaceAll(/^[-.]+|[-.]+$/g, '');

function problemOf(
  { key, name, id, prefix }: NamedOperation & { readonly id: string; readonly prefix: string },
  { rivals, taken }: { readonly rivals: readonly NamedOperation[]; readonly taken: readonly string[] },
): string | null {
  if (id.length > MAX_ID_LENGTH) return `an id has at most ${MAX_ID_LENGTH} characters`;
  if (taken.includes(id) || !isActionId(id)) return `\`${shownName(id)}\` cannot be one`;
  const other = rivals.find((rival) => rival.key !== key);
  if (other === undefined) return null;
  const areThemselves = rivals.filter((rival) => `${prefix}${rival.name}` === id).length;
  return areThemselves === 1 && `${prefix}${name}` === id
    ? null
    : `\`${id}\` would be that of \`${shownName(other.key)}\` too`;
}

const DIGITS = 8;

function suffixed({ id, key, prefix }: { readonly id: string; readonly key: string; readonly prefix: string }): string {
  const digest = createHash('sha256').update(key).digest('hex').slice(0, DIGITS);
  const room = MAX_ID_LENGTH - DIGITS - 1;
  if (id.length <= room) return id === prefix ? `${prefix}action-${digest}` : `${id}-${digest}`;
  // Whole words alone; a single word of that length is left out.
  const words = id.slice(0, room + 1).replace(/[-._]+[^-._]*$/, '');
  return words.length > prefix.length ? `${words}-${digest}` : `${prefix}action-${digest}`;
}

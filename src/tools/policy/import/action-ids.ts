import { createHash } from 'node:crypto';
import { isActionId, MAX_ID_LENGTH } from '../../../core/action/catalog/catalog-head.ts';
import { printableName } from './entry.ts';
import { withoutEnd } from '../../../core/runtime/without-end.ts';

/** An operation that needs an action id. */
export interface NamedOperation {
  /** A unique key: `GET /orders/{id}`, the name of a tool, `package.Service/Method`. */
  readonly key: string;
  /** The name from which the id is made. */
  readonly name: string;
}

/**
 * Makes an action id for each operation. It is the prefix and the name, with invalid characters replaced by `-`. A valid name is
 * kept. If two names lead to the same id, or the id would be empty or exceed 128 characters, it ends in eight digits of the
 * SHA-256 of its key, so that no id is truncated in a word or depends on the order of the document. Such ids are noted by key.
 *
 * @param taken ids that are not available
 */
export function actionIds(
  named: readonly NamedOperation[],
  { prefix, taken }: { readonly prefix: string; readonly taken: readonly string[] },
): { readonly ids: ReadonlyMap<string, string>; readonly notes: ReadonlyMap<string, string> } {
  const candidates = named.map((one) => ({ ...one, id: `${prefix}${idOf(one.name)}` }));
  const byId = new Map(
    Array.from(
      Map.groupBy(candidates, ({ id }) => id),
      ([id, rivals]) => [id, { rivals, themselves: rivals.filter(({ name }) => `${prefix}${name}` === id).length }],
    ),
  );
  const ids = new Map<string, string>();
  const notes = new Map<string, string>();
  for (const { key, name, id } of candidates) {
    const why = idProblem({ key, name, id, prefix }, { rivals: [], themselves: 0, ...byId.get(id), taken });
    ids.set(key, why === null ? id : suffixed({ id, key, prefix }));
    if (why !== null) notes.set(key, `its id is \`${ids.get(key)}\`, because ${why}`);
  }
  return { ids, notes };
}

/** Far more characters of a name than an id has. */
const MAX_NAME = 4096;

/** Removes accents, as in `ö`; letters without a Latin base are dropped. */
const idOf = (name: string): string =>
  withoutEnd(
    name
      .slice(0, MAX_NAME)
      .normalize('NFKD')
      .replaceAll(/\p{M}+/gu, '')
      .replaceAll(/[^A-Za-z0-9_.]+/g, '-')
      .replaceAll(/\.{2,}/g, '.')
      .replace(/^[-.]+/, ''),
    '-.',
  );

/** The operations with one id, and how many of them have it as their name. */
interface Rivals {
  readonly rivals: readonly NamedOperation[];
  readonly themselves: number;
}

function idProblem(
  { key, name, id, prefix }: NamedOperation & { readonly id: string; readonly prefix: string },
  { rivals, themselves, taken }: Rivals & { readonly taken: readonly string[] },
): string | null {
  if (id.length > MAX_ID_LENGTH) return `an id has at most ${MAX_ID_LENGTH} characters`;
  if (taken.includes(id) || !isActionId(id)) return `\`${printableName(id)}\` is not a valid or available id`;
  const other = rivals.find((rival) => rival.key !== key);
  if (other === undefined) return null;
  return themselves === 1 && `${prefix}${name}` === id
    ? null
    : `\`${id}\` is also that of \`${printableName(other.key)}\``;
}

const DIGITS = 8;

function suffixed({ id, key, prefix }: { readonly id: string; readonly key: string; readonly prefix: string }): string {
  const digest = createHash('sha256').update(key).digest('hex').slice(0, DIGITS);
  const room = MAX_ID_LENGTH - DIGITS - 1;
  if (id.length <= room) return id === prefix ? `${prefix}action-${digest}` : `${id}-${digest}`;
  // Whole words only; a single word of that length is dropped.
  const cut = id.slice(0, room + 1);
  const last = Math.max(...['-', '.', '_'].map((separator) => cut.lastIndexOf(separator)));
  const words = last === -1 ? cut : withoutEnd(cut.slice(0, last), '-._');
  return words.length > prefix.length ? `${words}-${digest}` : `${prefix}action-${digest}`;
}

/** The keys that say who may connect to the sockets of a section. */
import { optional, textOf } from '../runtime/fields.ts';
import type { Reader } from '../runtime/fields.ts';

/** The keys that say who may connect to the Unix sockets of a section. */
export interface SocketKeys {
  /** `0600`: the user of the process. `0660`: a group too. */
  readonly socketMode: '0600' | '0660';
  /** The group, by its name in `/etc/group` or its number; `null` for the group of the process. */
  readonly socketGroup: string | null;
}

const modeText = textOf<SocketKeys['socketMode']>("`'0600'` or `'0660'`", (value) =>
  value === '0600' || value === '0660' ? value : { problem: `got \`${value.slice(0, 100)}\`` },
);

/** YAML reads `0660` without quotes as the number 660. */
const mode: Reader<SocketKeys['socketMode']> = (value, place) =>
  modeText(typeof value === 'number' ? String(value).padStart(4, '0') : value, place);

const group = textOf<string>('the name or number of a group', (value) =>
  /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/.test(value) ? value : { problem: 'invalid name' },
);
const groupOrNumber: Reader<string> = (value, place) => group(typeof value === 'number' ? String(value) : value, place);

/** Readers of the keys, for a section. */
export const socketKeys = (byDefault: SocketKeys['socketMode']) => ({
  socketMode: optional(mode, byDefault),
  socketGroup: optional(groupOrNumber, null),
});

/** A contradiction between the two keys of a section; `null` if there is none. */
export const socketContradiction = (
  section: string,
  { socketMode, socketGroup }: SocketKeys,
): { readonly field: string; readonly message: string } | null =>
  socketMode === '0600' && socketGroup !== null
    ? {
        field: `${section}.socketGroup`,
        message: `has no effect with \`socketMode: '0600'\`: set \`socketMode: '0660'\``,
      }
    : null;

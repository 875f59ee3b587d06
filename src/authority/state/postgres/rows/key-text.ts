import type { TaskKey } from '../../../../core/state/store.ts';

/** A key as a text, for maps. Neither part has U+0000. */
export const keyText = ({ issuer, id }: TaskKey): string => `${issuer}\0${id}`;

/** Which texts a state can store: no U+0000, no lone surrogate. */
import { storeFailure } from '../../runtime/store-failure.ts';
import type { StoreFailure } from '../../runtime/store-failure.ts';
import type { Saying } from '../../task/context-change.ts';
import type { IssuedToken } from '../store.ts';

/** Whether a state stores the text: no U+0000, no lone surrogate. */
export const isStorable = (text: string): boolean => !text.includes('\0') && text.isWellFormed();

/** Texts of a token. */
export const textsOf = (token: IssuedToken): readonly string[] => [token.jtiDigest, token.audience, token.boundTo];

/** Names and values of a statement about a task. */
export const saidIn = ({ values }: Saying): readonly string[] =>
  Object.entries(values).flatMap(([name, value]) => (value === null ? [name] : [name, value]));

/** The failure of a call with text that is not stored. */
export const notStorable = (): StoreFailure =>
  storeFailure('refused', 'text with U+0000 or a lone surrogate is not stored');

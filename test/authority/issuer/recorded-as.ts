import { expect } from '@jest/globals';

/** The members of a recorded refusal besides its error. Separate from the bench, which also runs without jest. */
export const recordedAs: { readonly decision: unknown; readonly trace: unknown } = {
  decision: expect.any(String),
  trace: expect.any(String),
};

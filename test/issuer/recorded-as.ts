import { expect } from '@jest/globals';

/** What the answer to a recorded refusal has besides its error. Apart from the bench, which also runs in processes without jest. */
export const recordedAs: { readonly decision: unknown; readonly trace: unknown } = {
  decision: expect.any(String),
  trace: expect.any(String),
};

import { afterEach } from '@jest/globals';

/** What a test has opened, as functions that close it. */
export type Closers = (() => unknown)[];

/** A test that closes what it has opened, the newest first: for tests that run concurrently, after which no `afterEach` runs. */
export const withClosers =
  <Args extends readonly unknown[]>(test: (closers: Closers, ...args: Args) => Promise<void>) =>
  async (...args: Args): Promise<void> => {
    const closers: Closers = [];
    try {
      await test(closers, ...args);
    } finally {
      for (const close of closers.toReversed()) await close();
    }
  };

/** What the tests of a file or a `describe` open: closed after each test, the newest first. */
export function closedAfterEach(): Closers {
  const closers: Closers = [];
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close();
  });
  return closers;
}

import { it } from '@jest/globals';
import { thoroughly } from './thoroughly.ts';

const left = (): void => undefined;

/** Defines a test of what takes long and is rarely red: with REMIT_THOROUGH=1 alone. Say beside it what it once found, or what else looks at it. */
export function itThoroughly(title: string, test: () => Promise<void>): void {
  thoroughly<(title: string, test: () => Promise<void>) => void>(it, left)(title, test);
}

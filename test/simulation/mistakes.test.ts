import { describe, expect, it } from '@jest/globals';
import { isMistake, MISTAKES } from './mistakes.ts';
import { simulate } from './run.ts';

/** Each is found within some hundred seeds. */
const FOUND_WITHIN = 3_000;

describe('a simulated fleet with a deliberate mistake', () => {
  it.each(Object.entries(MISTAKES))(`breaks its promise within ${FOUND_WITHIN} seeds: %s (%s)`, (name) => {
    let violations: readonly string[] = [];
    for (let seed = 1; seed <= FOUND_WITHIN && violations.length === 0; seed += 1) {
      ({ violations } = simulate(seed, isMistake(name) ? name : null));
    }
    expect(violations).not.toEqual([]);
  });
});

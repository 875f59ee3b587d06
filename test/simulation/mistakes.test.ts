import { beforeAll, describe, expect, it } from '@jest/globals';
import { MISTAKES } from './mistakes.ts';
import { SIMULATED_WITHIN_MS, simulateCommand } from './simulate-command.ts';

/** Each is found within some hundred seeds. */
const FOUND_WITHIN = 3_000;

describe('a simulated fleet with a deliberate mistake', () => {
  let lines: readonly string[] = [];
  beforeAll(async () => {
    ({ lines } = await simulateCommand('--mistakes', '--seeds', FOUND_WITHIN.toString()));
  }, SIMULATED_WITHIN_MS);

  it.each(Object.entries(MISTAKES))(`breaks its promise within ${FOUND_WITHIN} seeds: %s (%s)`, (name) => {
    expect(lines).toContainEqual(expect.stringMatching(new RegExp(`^${name}: seed \\d+: at \\d+ ms `)));
  });

  it('is reported in the last line', () => {
    expect(lines.at(-1)).toBe(`simulate: ${Object.keys(MISTAKES).length} mistakes, 0 not found`);
  });
});

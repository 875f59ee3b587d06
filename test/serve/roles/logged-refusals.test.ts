import { describe, expect, it } from '@jest/globals';
import { LoggedRefusals } from '../../../src/serve/roles/logged-refusals.ts';

const setUp = () => {
  const lines: string[] = [];
  const due: (() => void)[] = [];
  const refusals = new LoggedRefusals({
    log: (line) => void lines.push(line),
    after: (_delayMs, run) => {
      due.push(run);
      return () => void due.splice(due.indexOf(run), 1);
    },
  });
  return { refusals, lines, second: () => due.splice(0).forEach((run) => run()) };
};

describe('LoggedRefusals', () => {
  it('logs one line a second with the decision ids of checks that were denied by a fault, and none for load', () => {
    const { refusals, lines, second } = setUp();
    refusals.add('full', 'a');
    refusals.add('late', 'b');
    refusals.add('agent', 'c');
    second();
    expect(lines).toEqual([]);
    refusals.add('deadline', 'd');
    refusals.add('failed', 'e');
    second();
    second();
    expect(lines).toEqual(['checks denied without a decision: 1 not decided within its deadline, 1 failed: `d`, `e`']);
  });

  it('names at most 16 of them, and logs the rest when it is closed', () => {
    const { refusals, lines } = setUp();
    for (let n = 0; n < 20; n += 1) refusals.add('deadline', `id-${n}`);
    refusals.close();
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^checks denied without a decision: 20 not decided .*`id-15`, and 4 more$/);
  });
});

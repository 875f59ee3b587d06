import { describe, expect, it } from '@jest/globals';
import * as fc from 'fast-check';
import { Readings } from '../../../src/core/runtime/readings.ts';

const CLIENTS = ['a', 'b', 'c'];
const MAX = 4;
const MAX_OF_CLIENT = 2;

describe('Readings', () => {
  it('never read more than they may, of all clients and of each client, and leave out nobody', () => {
    const steps = fc.array(
      fc.oneof(
        fc.record({ of: fc.constant('add' as const), client: fc.constantFrom(...CLIENTS) }),
        fc.record({ of: fc.constant('end' as const), nth: fc.nat(20) }),
        fc.record({ of: fc.constant('crowd' as const), isCrowded: fc.boolean() }),
      ),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(steps, (all) => {
        let isCrowded = false;
        const readings = new Readings({ max: MAX, maxOfClient: MAX_OF_CLIENT, isCrowded: () => isCrowded });
        const open: { readonly client: string; end: () => void; begun: boolean }[] = [];
        const begun = (client?: string): number =>
          open.filter((one) => one.begun && (client === undefined || one.client === client)).length;
        const check = (): void => {
          expect(begun()).toBeLessThanOrEqual(MAX);
          for (const client of CLIENTS) expect(begun(client)).toBeLessThanOrEqual(MAX_OF_CLIENT);
        };
        const end = (index: number): void => {
          const [one] = open.splice(index, 1);
          // What ends twice gives its room back once.
          one?.end();
          one?.end();
        };
        for (const step of all) {
          if (step.of === 'add') {
            const one = { client: step.client, end: () => undefined as void, begun: false };
            open.push(one);
            one.end = readings.add({ client: step.client, begin: () => void (one.begun = true) });
          } else if (step.of === 'end') end(step.nth % Math.max(1, open.length));
          else {
            isCrowded = step.isCrowded;
            readings.readOn();
          }
          check();
        }
        isCrowded = false;
        readings.readOn();
        for (let left = open.length; left > 0; left -= 1) {
          expect(open.some((one) => one.begun)).toBe(true);
          end(open.findIndex((one) => one.begun));
          check();
        }
      }),
    );
  });

  it('lets clients take turns', () => {
    const readings = new Readings({ max: 1, maxOfClient: 1, isCrowded: () => false });
    const order: string[] = [];
    const begun: (() => void)[] = [];
    for (const client of ['a', 'a', 'a', 'b', 'c']) {
      const end = readings.add({ client, begin: () => begun.push(() => end()) && order.push(client) });
    }
    for (let end = begun.shift(); end !== undefined; end = begun.shift()) end();
    expect(order).toEqual(['a', 'a', 'b', 'c', 'a']);
  });
});

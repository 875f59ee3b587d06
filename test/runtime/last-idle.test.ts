import { describe, expect, it } from '@jest/globals';
import { LastIdle } from '../../src/runtime/last-idle.ts';

class Party {
  isAmongLast = false;
  isBusy = false;
  readonly name: number;

  constructor(name: number) {
    this.name = name;
  }
}

describe('LastIdle', () => {
  it('keeps the last 16 parties, and forgets those before them that are still idle', () => {
    const forgotten: number[] = [];
    const idle = new LastIdle<Party>(
      ({ isBusy }) => !isBusy,
      ({ name }) => forgotten.push(name),
    );
    const parties = Array.from({ length: 20 }, (_, name) => new Party(name));
    for (const party of parties.slice(0, 16)) idle.rests(party);
    // Resting again changes nothing for one that is among them.
    for (const party of parties.slice(0, 16)) idle.rests(party);
    expect(forgotten).toEqual([]);
    const [, second] = parties;
    if (second === undefined) throw new Error('no party');
    second.isBusy = true;
    for (const party of parties.slice(16)) idle.rests(party);
    expect(forgotten).toEqual([0, 2, 3]);
    expect(parties.filter(({ isAmongLast }) => !isAmongLast).map(({ name }) => name)).toEqual([0, 1, 2, 3]);
    // The busy one rests later, in the place of the oldest.
    second.isBusy = false;
    idle.rests(second);
    expect(forgotten).toEqual([0, 2, 3, 4]);
  });
});

import { join } from 'node:path';
import { afterAll, describe } from '@jest/globals';
import { startedPlaces } from '../../../postgres/places.ts';
import { scratch } from '../../../builders/scratch.ts';
import { describeWith, postgresPart } from '../../../parts.ts';
import { outboxOf, settledIn, spentIn } from '../state-file.ts';
import { fileImplementations, implementations } from './implementations.ts';
import type { OpenState } from './implementations.ts';

/** One implementation of the state, with the places that it opens. */
export interface Implementation {
  readonly name: string;
  readonly open: OpenState;
  /** An empty place for a state of its own. */
  readonly place: () => Promise<string>;
  /** The value of the call counter of a task, read beside the state that has the place open. */
  readonly spent: (place: string, taskId: string) => Promise<number>;
  /** The records that wait for the ledger, read likewise. */
  readonly outbox: (place: string) => Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** How many decisions are remembered as settled, read likewise. */
  readonly settled: (place: string) => Promise<number>;
  /** Makes decisions older by slots of ten minutes, if their age does not go by the clock that the state was opened with. */
  readonly age: (place: string, slots: number) => Promise<void>;
}

const outboxOfFile = async (file: string) => outboxOf(file);
const spentInFile = async (file: string, taskId: string): Promise<number> => spentIn(file, taskId);

const settledInFile = async (file: string): Promise<number> => settledIn(file);

const byItsClock = async (): Promise<void> => undefined;

/** Runs a suite for each implementation. */
export function describeEach(title: string, suite: (implementation: Implementation) => void): void {
  const { folder, remove } = scratch();
  afterAll(remove);
  for (const [name, open] of Object.entries<OpenState>(fileImplementations)) {
    const place = async (): Promise<string> => join(folder(), 'state.db');
    describe(`${title}: ${name}`, () =>
      suite({
        name,
        open,
        place,
        spent: spentInFile,
        outbox: outboxOfFile,
        settled: settledInFile,
        age: byItsClock,
      }));
  }
  describeWith(postgresPart(), `${title}: postgres`, (binaries) => {
    const places = startedPlaces(binaries, folder());
    const { postgres: open } = implementations;
    if (open === undefined) throw new Error('no implementation postgres');
    suite({
      name: 'postgres',
      open,
      place: () => places.next(),
      spent: (url, taskId) => places.spent(url, taskId),
      outbox: (url) => places.outbox(url),
      settled: (url) => places.settled(url),
      age: (url, slots) => places.age(url, slots),
    });
  });
}

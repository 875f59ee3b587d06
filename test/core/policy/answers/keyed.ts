import type { Keyed } from '../../../../src/core/policy/answers/key.ts';

/** An entity of the type `User`. */
export const user = (id: string) => ({ type: 'User', id });
const parentsOf: Readonly<Record<string, readonly string[]>> = {
  alice: ['Group payers'],
  bob: [],
  carol: ['Group other'],
};
/** A question of Alice, who is a payer; Carol is in another group. */
export const question = (context: unknown, names: Partial<Keyed> = {}): Keyed => ({
  principal: user('alice'),
  action: { type: 'Action', id: 'a' },
  resource: { type: 'File', id: 'f' },
  context,
  lineageOf: ({ type, id }) => [`${type} ${id}`, ...(parentsOf[id] ?? [])],
  ...names,
});

/** An extension value. */
export const datetime = (arg: string) => ({ __extn: { fn: 'datetime', arg } });
/** An extension value. */
export const decimal = (arg: string) => ({ __extn: { fn: 'decimal', arg } });
/** A user as a value. */
export const entity = (id: string) => ({ __entity: user(id) });

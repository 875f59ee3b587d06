import { randomInt } from 'node:crypto';
import { Random } from './simulation/random.ts';

/**
 * Random numbers of a test, with the seed that draws them again: `REMIT_SEED=N npm run jest -- FILE`. A test has its seed in what it
 * expects, so that a failure names it.
 */
export function drawn(): { readonly seed: number; readonly random: Random } {
  const given = process.env['REMIT_SEED'];
  const seed = given === undefined ? randomInt(1, 1_000_000_000) : Number(given);
  return { seed, random: new Random(seed) };
}

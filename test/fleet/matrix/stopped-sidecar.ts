import { createInterface } from 'node:readline';
import { SidecarState } from '../../../src/state/remote/sidecar-state.ts';
import { digestOf, keyOf } from '../../authority/serving.ts';
import { until } from '../../until.ts';
import { allows, sidecarOptions } from './fleet.ts';

/**
 * A sidecar in a process of its own: `node stopped-sidecar.ts TARGET`. It opens task 1 and looks at it without a pause. It writes `ready`,
 * and for each line on stdin whether it would have allowed a use at any look since the line before.
 */
const state = SidecarState.open(sidecarOptions(process.argv[2] ?? '', null));
await until(() => state.problem() === null, { what: 'a lease' });
await state.states.open(keyOf(1), digestOf(1));
let hasAllowed = allows(state, 1);
setInterval(() => (hasAllowed ||= allows(state, 1)), 1);
process.stdout.write(`ready ${hasAllowed}\n`);
createInterface({ input: process.stdin })
  .on('line', () => {
    process.stdout.write(`${hasAllowed}\n`);
    hasAllowed = allows(state, 1);
  })
  .on('close', () => process.exit());

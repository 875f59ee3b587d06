import { lockState } from '../../src/store/state-lock.ts';
import { isStoreFailure } from '../../src/store/store-failure.ts';

// A process that takes a place among those that serve with a state file, and keeps it until it is killed.

const [file = '', access] = process.argv.slice(2);
const lock = lockState(file, access === 'shared' ? 'shared' : 'exclusive');
process.stdout.write(`${isStoreFailure(lock) ? lock.detail : 'taken'}\n`);
setInterval(() => undefined, 1_000);
